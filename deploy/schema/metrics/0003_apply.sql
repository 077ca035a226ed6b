-- 0003_apply.sql: the one way into the tables. A worker calls events_apply once per site and batch,
-- sites in ascending order, in the transaction that claimed the records (0002_delivery.sql).

-- What cannot be applied is set aside, alone, with its reason; it blocks nothing.
create table dead_letter (
    producer  uuid        not null,
    lane      smallint    not null,
    seq       bigint      not null,
    place     integer     not null,                  -- of the event in its record, from 0
    reason    text        not null,
    bytes     bytea       not null,                  -- the event as it came
    set_aside timestamptz not null default now(),
    constraint dead_letter_pk primary key (producer, lane, seq, place)
);

-- Store events of one site: arrays of one length, the n-th of each making the n-th event, texts by
-- their ids, with the values of all these ids beside them. Returns how many were new.
--
-- Events of one site, visitor and id are one event: the copy applied first counts, also when the
-- other has another time. A daily visitor's copies lie within one local day, which has 25 h at most,
-- so looking 26 h to either side finds them in at most two partitions. The site's lock makes the look
-- and the insert one step.
create function events_apply(
    p_site integer, p_string_id bigint[], p_string_value text[],
    p_ts_us bigint[], p_visitor bigint[], p_id bigint[], p_kind smallint[], p_interactive boolean[],
    p_name bigint[], p_host bigint[], p_page bigint[], p_title bigint[], p_referrer bigint[],
    p_source bigint[], p_country bigint[], p_browser bigint[], p_browser_version bigint[],
    p_os bigint[], p_os_version bigint[], p_device bigint[], p_language bigint[],
    p_screen_width integer[], p_engaged_ms integer[], p_scroll_depth smallint[],
    p_revenue numeric[], p_currency text[], p_props text[], p_metadata text[])
returns integer language plpgsql as $$
declare
    stored integer;
begin
    perform pg_advisory_xact_lock(1, p_site);
    perform event_partition(month at time zone 'UTC')
    from (select distinct date_trunc('month', timestamp 'epoch' + us * interval '1 microsecond') as month
          from unnest(p_ts_us) as us order by 1) months;

    insert into string (site_id, id, value)
    select p_site, s.id, s.value from unnest(p_string_id, p_string_value) as s(id, value)
    order by s.id
    on conflict do nothing;

    insert into event
    select p_site, e.ts, e.visitor, e.id, e.kind, e.interactive, e.name, e.host, e.page, e.title,
           e.referrer, e.source, e.country, e.browser, e.browser_version, e.os, e.os_version, e.device,
           e.language, e.screen_width, e.engaged_ms, e.scroll_depth, e.revenue, e.currency,
           e.props::jsonb, e.metadata::jsonb
    from (select distinct on (visitor, id)
                 timestamptz 'epoch' + us * interval '1 microsecond' as ts, g.*
          from unnest(p_ts_us, p_visitor, p_id, p_kind, p_interactive, p_name, p_host, p_page, p_title,
                      p_referrer, p_source, p_country, p_browser, p_browser_version, p_os, p_os_version,
                      p_device, p_language, p_screen_width, p_engaged_ms, p_scroll_depth, p_revenue,
                      p_currency, p_props, p_metadata) with ordinality
               as g(us, visitor, id, kind, interactive, name, host, page, title, referrer, source,
                    country, browser, browser_version, os, os_version, device, language, screen_width,
                    engaged_ms, scroll_depth, revenue, currency, props, metadata, n)
          order by visitor, id, n) e
    where not exists (
        select from event held
        where held.site_id = p_site and held.visitor = e.visitor and held.id = e.id
          and held.ts between e.ts - interval '26 hours' and e.ts + interval '26 hours')
    on conflict do nothing;
    get diagnostics stored = row_count;
    return stored;
end
$$;

grant insert on dead_letter to footfall_worker;
grant select on dead_letter to footfall_query;
grant execute on function events_apply to footfall_worker;
