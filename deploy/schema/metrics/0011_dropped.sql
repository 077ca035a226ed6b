-- 0011_dropped.sql: traffic that was refused, by ingresses and by workers (proto/dropped.h names the reasons). It
-- comes by records as events do, so each sum counts exactly once (0002_delivery.sql), and never touches event.

create table dropped (
    site_id integer     not null,                    -- 0: of no site that was known
    hour    timestamptz not null,                    -- its beginning, UTC
    reason  text        not null,
    count   bigint      not null,
    constraint dropped_pk primary key (site_id, hour, reason)
);

-- Of each site and second one of them as it came, without its address; the last 1,000.
create table dropped_sample (
    site_id  integer     not null,
    ts       timestamptz not null,                   -- whole seconds
    reason   text        not null,
    host     text        not null,
    path     text        not null,
    agent    text        not null,
    referrer text        not null,
    origin   text        not null,
    event_id bigint      not null,                   -- of one that a worker refused, else 0
    constraint dropped_sample_pk primary key (site_id, ts)
);

-- Count what was refused of one site: an array of {ts_us, reason, count}, samples with their texts besides. Sums
-- are kept as rollups are; samples are raw, and go by the site's limit of age.
create function dropped_apply(p_site integer, p_rows jsonb) returns void
language plpgsql as $$
declare
    begins timestamptz;
begin
    perform pg_advisory_xact_lock(1, p_site);
    if exists (select from site_removed where id = p_site) then -- as site_refuse_removed()
        raise exception 'site % was removed', p_site using errcode = '55F01';
    end if;

    insert into dropped as d
    select p_site, date_trunc('hour', timestamptz 'epoch' + ts_us * interval '1 microsecond', 'UTC'), reason, sum(count)
    from jsonb_to_recordset(p_rows) as g(ts_us bigint, reason text, count bigint)
    group by 2, 3
    on conflict (site_id, hour, reason) do update set count = d.count + excluded.count;

    begins := retention_begin(p_site);
    insert into dropped_sample
    select p_site, t.ts, reason, host, path, agent, referrer, origin, event_id
    from jsonb_to_recordset(p_rows) as g(ts_us bigint, reason text, host text, path text, agent text, referrer text,
                                         origin text, event_id bigint)
    cross join lateral (select date_trunc('second', timestamptz 'epoch' + ts_us * interval '1 microsecond') as ts) t
    where host is not null and t.ts >= begins
    on conflict do nothing;
    if found then
        perform dropped_forget(p_site, begins);
    end if;
end
$$;

-- Delete samples that are older than that, or of which there are too many.
create function dropped_forget(p_site integer, p_before timestamptz) returns void
language sql security definer set search_path = public, pg_temp as $$
    delete from dropped_sample
    where site_id = p_site and ts < greatest(p_before, (
        select ts from dropped_sample where site_id = p_site order by ts desc offset 999 limit 1))
$$;

-- A site to which nothing comes any more loses its samples by age, too: with what is tidied last.
create or replace function retention_finish(p_site integer, p_before timestamptz, p_strings boolean) returns void
language sql security definer set search_path = public, pg_temp as $$
    insert into retention_done as d
    select p_site, p_before, p_before where exists (select from site where site_id = p_site)
    on conflict (site_id) do update set before = excluded.before,
        strings_before = case when p_strings then excluded.before else d.strings_before end;
    select dropped_forget(p_site, p_before)
$$;

revoke execute on function dropped_apply, dropped_forget, retention_finish from public;
grant select, insert, update on dropped to footfall_worker;
grant select, insert on dropped_sample to footfall_worker;
grant execute on function dropped_apply, dropped_forget to footfall_worker;
grant execute on function retention_finish to footfall_console;
grant select on dropped, dropped_sample to footfall_query;
