-- 0005_faults.sql: what was set aside can be wanted again; what is older than a site's limit is not
-- taken back by a replay; raising low costs nothing while its next record is missing.
alter table dead_letter add column wanted boolean not null default false; -- a worker is to try it again
create index dead_letter_wanted on dead_letter (set_aside) where wanted;
grant update (wanted, reason), delete on dead_letter to footfall_worker;
grant select on dead_letter to footfall_worker;

-- How long events are kept. Site 0: where a site has no limit of its own.
create table retention (
    site_id integer not null,
    days    integer not null check (days > 0),
    constraint retention_pk primary key (site_id)
);
grant select on retention to footfall_worker, footfall_query;

-- Events from before this are not kept.
create function retention_begin(p_site integer) returns timestamptz
language sql stable as $$
    select coalesce((select now() - days * interval '1 day' from retention
                     where site_id in (0, p_site) order by site_id = 0 limit 1), '-infinity')
$$;
grant execute on function retention_begin to footfall_worker;

create or replace function progress_raise(p_producer uuid, p_lane smallint) returns void
language plpgsql as $$
declare
    was bigint;
    now_low bigint;
begin
    insert into progress values (p_producer, p_lane, 0) on conflict do nothing;
    select low into was from progress where producer = p_producer and lane = p_lane for update;
    if exists (select from applied where producer = p_producer and lane = p_lane and seq = was + 1) then
        select max(seq) into now_low
        from (select seq, row_number() over (order by seq) as n from applied
              where producer = p_producer and lane = p_lane and seq > was) held
        where seq = was + n;
        update progress set low = now_low where producer = p_producer and lane = p_lane;
    end if;
    delete from applied
    where producer = p_producer and lane = p_lane and seq <= coalesce(now_low, was);
end
$$;

-- As in 0001_event.sql, but the table is made by itself and then attached, which waits for nobody who
-- reads events, as a dump does for long; and nobody waits for it.
create or replace function event_partition(p_ts timestamptz) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    month_utc timestamp := date_trunc('month', p_ts at time zone 'UTC');
    part      text := format('event_%s', to_char(month_utc, 'YYYY_MM'));
begin
    if to_regclass(part) is not null then
        return;
    end if;
    if p_ts < timestamptz '1970-01-01 00:00:00+00' or p_ts > now() + interval '100 days' then
        raise exception 'no partition for %', p_ts;
    end if;
    perform pg_advisory_xact_lock(hashtext('footfall event_partition'));
    -- Not to_regclass(): what it remembers may be older than the lock.
    if not exists (select from pg_class where relname = part and relnamespace = 'public'::regnamespace) then
        execute format('create table %I (like event including defaults including constraints)', part);
        execute format('alter table event attach partition %I for values from (%L) to (%L)', part,
            month_utc at time zone 'UTC', (month_utc + interval '1 month') at time zone 'UTC');
    end if;
end
$$;
comment on column dead_letter.place is 'of the event in its record, from 0; -1: the whole record';

-- As in 0003_apply.sql, but for the limit, and for how repeats are looked for.
create or replace function events_apply(
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
    begins timestamptz;
begin
    perform pg_advisory_xact_lock(1, p_site);
    begins := retention_begin(p_site);
    perform event_partition(month at time zone 'UTC')
    from (select distinct date_trunc('month', timestamp 'epoch' + us * interval '1 microsecond') as month
          from unnest(p_ts_us) as us
          where timestamptz 'epoch' + us * interval '1 microsecond' >= begins order by 1) months;

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
    where e.ts >= begins
      -- As a scalar: of "not exists" the planner makes a scan of all events of the site.
      and (select true from event held
           where held.site_id = p_site and held.visitor = e.visitor and held.id = e.id
             and held.ts between e.ts - interval '26 hours' and e.ts + interval '26 hours'
           limit 1) is null
    on conflict do nothing;
    get diagnostics stored = row_count;
    return stored;
end
$$;
