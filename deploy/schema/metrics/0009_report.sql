-- 0009_report.sql: what reports need to read visits, their pages and rollups instead of events.

-- Rows of some days, whenever their visits began, and of visits that began in some time. Both grow with the
-- table, so a few bytes a hundred pages tell where to look. Summaries are made as the tables grow.
create index visit_page_time on visit_page using brin (start_ts, day) with (autosummarize = on);
alter index visit_start set (autosummarize = on);

-- A persistent visitor of several days is one, which the rollups of days cannot tell. Where nobody is
-- persistent, this is empty and says so at once.
create index visit_page_persistent on visit_page (site_id, build, day) where visitor & 1 = 1;

-- The visits that began before a local midnight and go on after it; only persistent visitors have such. No gap
-- in a visit is longer than half an hour, so they have a page on the day itself. Few, so each is looked up by
-- itself: a plan of its own, since reports forbid the loop that this is.
create function visit_running(p_site integer, p_build integer, p_day date, p_midnight timestamptz)
returns setof visit
language sql stable set enable_hashjoin = off set enable_mergejoin = off as $$
    select v.* from (select distinct visitor, start_ts from visit_page
                     where site_id = p_site and build = p_build and day = p_day and visitor & 1 = 1
                       and start_ts < p_midnight) p
    join visit v on v.site_id = p_site and v.build = p_build and v.visitor = p.visitor and v.start_ts = p.start_ts
$$;

-- What a report's range is now, and which build of the site to read, in which zone: p_zone for a site that has
-- no events yet. Kinds: 'day', 'month', 'year' (the whole of the present one), '24h', 'days' and 'months' (the
-- last p_n, which end before the present one), 'all', 'dates' and 'times' (p_from and p_to, both inclusive: the
-- last day, the last second). p_trim ends 'day' with the present hour, 'month' and 'year' with today.
--
-- It goes through local dates from first_date to before end_date, all of each if whole_days; of these, whole
-- months are from first_month to before end_month, which are equal where there is none.
drop function report_range;
drop function event_first;
create function report_range(p_site integer, p_zone text, p_kind text, p_n integer, p_from text,
    p_to text, p_trim boolean,
    out build integer, out zone text, out starts timestamptz, out ends timestamptz, out first_date date,
    out end_date date, out whole_days boolean, out first_month date, out end_month date,
    out starts_iso text, out last_iso text)
language plpgsql stable as $$
declare
    present timestamptz := date_trunc('second', now());
    today   date;
    from_date date;
    last_date date;
begin
    select s.build, s.zone into build, zone from site s where s.site_id = p_site;
    build := coalesce(build, 0);
    zone := coalesce(zone, p_zone);
    today := (present at time zone zone)::date;
    last_date := today;
    case p_kind
    when 'day' then
        from_date := today;
    when 'month', 'year' then
        from_date := date_trunc(p_kind, today::timestamp)::date;
        last_date := (from_date + ('1 ' || p_kind)::interval)::date - 1;
        if p_trim then
            last_date := today;
        end if;
    when 'days' then
        from_date := today - p_n;
        last_date := today - 1;
    when 'months' then
        last_date := date_trunc('month', today::timestamp)::date - 1;
        from_date := (date_trunc('month', today::timestamp) - make_interval(months => p_n))::date;
    when 'all' then
        from_date := least((select min(r.day) from rollup_day r
                            where r.site_id = p_site and r.build = report_range.build and r.dimension = 0), today);
    when 'dates' then
        from_date := p_from::date;
        last_date := p_to::date;
    when '24h' then
        starts := present - interval '24 hours';
        ends := present + interval '1 second';
    when 'times' then
        starts := date_trunc('second', p_from::timestamptz);
        ends := date_trunc('second', p_to::timestamptz) + interval '1 second';
    end case;
    if from_date is not null then
        starts := local_midnight(zone, from_date);
        ends := local_midnight(zone, last_date + 1);
    end if;
    if p_kind = 'day' and p_trim then
        ends := least(ends, (date_trunc('hour', present at time zone zone) + interval '1 hour') at time zone zone);
        ends := greatest(ends, present + interval '1 second');
    end if;
    first_date := (starts at time zone zone)::date;
    end_date := ((ends - interval '1 microsecond') at time zone zone)::date + 1;
    whole_days := starts = local_midnight(zone, first_date) and ends = local_midnight(zone, end_date);
    first_month := least(date_trunc('month', first_date + interval '1 month - 1 day')::date, end_date);
    end_month := greatest(date_trunc('month', end_date::timestamp)::date, first_month);
    starts_iso := local_iso(zone, starts);
    last_iso := local_iso(zone, ends - interval '1 second');
end
$$;

revoke execute on all functions in schema public from public;
grant execute on function visit_running, report_range to footfall_query;
