-- 0013_apply.sql: counting, faster. What it leaves in the tables is as before (proto/words.md). What a visit changes
-- in the rollups is put together in fewer passes: by exit together with the other dimensions, as few visits move
-- on to another; who comes again, once a visitor and not once a dimension; and what a call adds to months from
-- what it adds to days as it is, where they are one day, as they mostly are. What few calls need, and what they add
-- to the rollups, are statements of their own: to start one takes as long as to count some events.

-- Each call changes many of the rollups' rows, and the former ones stay until they can be cleaned away. More than half of
-- a page is left for them (0006 left 30 %): so hardly a new row goes to another page, where it needs an entry in the index.
-- The tables are smaller by it, as pages fill with what is dead otherwise.
alter table rollup_day set (fillfactor = 45);
alter table rollup_month set (fillfactor = 45);

-- What every call asks, as plpgsql: the plan of an expression is kept, and that of a function of SQL is not.
create or replace function local_midnight(p_zone text, p_date date) returns timestamptz
language plpgsql stable parallel safe as $$
declare
    usual timestamptz := p_date::timestamp at time zone p_zone;
begin
    return case when ((usual - interval '1 hour') at time zone p_zone)::date >= p_date
                then usual - interval '1 hour' else usual end;
end
$$;
create or replace function retention_begin(p_site integer) returns timestamptz language plpgsql stable as $$
begin
    return greatest(
        (select max(before) from forgotten where site_id in (0, p_site)),
        (select now() - days * interval '1 day' from retention
         where site_id in (0, p_site) order by site_id = 0 limit 1),
        '-infinity');
end
$$;

-- What a call adds to a row of the rollups of its day, and to the visitors of its month. Sums are doubles, exact up
-- to 2^53: those of bigint are numeric, and thrice as slow. Those of integers are bigint, and the fastest; they do
-- for what is at most the number of visits.
create type rollup_delta as (
    day            date,
    dimension      smallint,
    value          bigint,
    visitors       bigint,
    month_visitors bigint,
    visits         bigint,
    pageviews      double precision,
    events         double precision,
    bounces        double precision,
    duration_ms    double precision,
    entries        bigint,
    exits          bigint,
    engaged_ms     double precision,
    scroll_sum     double precision,
    scroll_visits  bigint
);

-- Add them to the rollups of a build of a site, and remove rows that come to nothing. The settings are those of
-- visits_count().
create function rollups_add(p_site integer, p_build integer, p_delta rollup_delta[]) returns void language plpgsql as $$
declare
    zero_days tid[];
    zero_months tid[];
begin
    -- Neighbours in the keys go one behind the other.
    with delta as materialized (
        select * from unnest(p_delta) order by dimension, value
    ), month_delta as (
        -- What is added to a month is that of its day, where it is one.
        select date_trunc('month', day::timestamp)::date as month, dimension, value, month_visitors as visitors, visits,
               pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum, scroll_visits
        from delta where (select min(day) = max(day) from delta)
        union all
        select date_trunc('month', day::timestamp)::date, dimension, value, sum(month_visitors::integer),
               sum(visits::integer), sum(pageviews), sum(events), sum(bounces), sum(duration_ms), sum(entries::integer),
               sum(exits::integer), sum(engaged_ms), sum(scroll_sum), sum(scroll_visits::integer)
        from delta where (select min(day) < max(day) from delta)
        group by 1, 2, 3
    ), day_kept as (
        insert into rollup_day as r
        select p_site, p_build, day, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms, entries,
               exits, engaged_ms, scroll_sum, scroll_visits
        from delta
        where (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum,
               scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        on conflict (site_id, build, dimension, day, value) do update set
            visitors = r.visitors + excluded.visitors, visits = r.visits + excluded.visits,
            pageviews = r.pageviews + excluded.pageviews, events = r.events + excluded.events,
            bounces = r.bounces + excluded.bounces, duration_ms = r.duration_ms + excluded.duration_ms,
            entries = r.entries + excluded.entries, exits = r.exits + excluded.exits,
            engaged_ms = r.engaged_ms + excluded.engaged_ms, scroll_sum = r.scroll_sum + excluded.scroll_sum,
            scroll_visits = r.scroll_visits + excluded.scroll_visits
        returning ctid as place, (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms,
            scroll_sum, scroll_visits) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) as zero
    ), month_kept as (
        insert into rollup_month as r
        select p_site, p_build, * from month_delta
        where (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum,
               scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        order by dimension, value
        on conflict (site_id, build, dimension, month, value) do update set
            visitors = r.visitors + excluded.visitors, visits = r.visits + excluded.visits,
            pageviews = r.pageviews + excluded.pageviews, events = r.events + excluded.events,
            bounces = r.bounces + excluded.bounces, duration_ms = r.duration_ms + excluded.duration_ms,
            entries = r.entries + excluded.entries, exits = r.exits + excluded.exits,
            engaged_ms = r.engaged_ms + excluded.engaged_ms, scroll_sum = r.scroll_sum + excluded.scroll_sum,
            scroll_visits = r.scroll_visits + excluded.scroll_visits
        returning ctid as place, (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms,
            scroll_sum, scroll_visits) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) as zero
    )
    select array(select place from day_kept where zero), array(select place from month_kept where zero)
    into zero_days, zero_months;
    if zero_days <> '{}' then
        delete from rollup_day where site_id = p_site and ctid = any (zero_days);
    end if;
    if zero_months <> '{}' then
        delete from rollup_month where site_id = p_site and ctid = any (zero_months);
    end if;
end
$$;

-- Count events that are new to a build of a site: arrays of one length, the n-th of each making the n-th
-- event. The caller has the site's lock, so rows stay where they were found (ctid) until the end. Each visitor's
-- are counted by one of two statements, so that what was before is read at one point. The short way, for most:
--
--   made           the events that make visits
--   short          those of visitors with one visit    short_page     their pages
--
-- The long way, for the rest:
--
--   held           the visits of their visitors        part, placed   they and the events, cut into visits anew
--   visit_after    those visits as they are now        page_after     the pages that are touched, likewise
--   share          what each visit and page adds to each row of the rollups, before (-) and after (+)
--
-- A daily visitor's visits are all read, which are those of a day; a persistent one's for the months touched
-- and some around them: a visitor counts once there, in whichever visit, and what does not change cancels
-- out.
create or replace function visits_count(
    p_site integer, p_build integer, p_zone text, p_us bigint[], p_visitor bigint[], p_id bigint[],
    p_kind smallint[], p_interactive boolean[], p_host bigint[], p_page bigint[], p_referrer bigint[],
    p_source bigint[], p_country bigint[], p_browser bigint[], p_browser_version bigint[], p_os bigint[],
    p_os_version bigint[], p_device bigint[], p_language bigint[], p_screen_width integer[],
    p_engaged_ms integer[], p_scroll_depth smallint[], p_region bigint[], p_city bigint[], p_locale bigint[],
    p_channel bigint[], p_utm_source bigint[], p_utm_medium bigint[], p_utm_campaign bigint[], p_utm_term bigint[],
    p_utm_content bigint[], p_click_id bigint[], p_brand bigint[], p_model bigint[], p_bot smallint[])
returns void language plpgsql
-- How many elements an array has is not known when the plan is made, nor how large the tables will be: joins
-- by loops would be quadratic, looking rows up by anything but their key or place is slow in the end (the costs
-- say that a descent of an index is dear, and a page not), and grouping by hashes beats sorting.
set enable_nestloop = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set random_page_cost = 0 set cpu_operator_cost = 0.1
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    delta rollup_delta[];
    rest integer[];
    some_day date := (time_of(p_us[1]) at time zone p_zone)::date;
    day_begin timestamptz := local_midnight(p_zone, some_day);
    day_end timestamptz := local_midnight(p_zone, some_day + 1);
begin
    -- Asking for a zone's rules is dear. Within a day of 24 hours the clocks do not change: what lies in it is of it.
    if day_end - day_begin <> interval '24 hours' then
        day_end := day_begin;
    end if;

    -- Each event has its place among those of its visitor, and behind it, in the lower half, its number.
    with made as materialized (
        select *, case when ts >= day_begin and ts < day_end then some_day else (ts at time zone p_zone)::date end as day,
               row_number() over (order by visitor, us, id) << 32 | n as place_n
        from (select n, time_of(p_us[n]) as ts, p_us[n] as us,
                     p_visitor[n] as visitor, p_id[n] as id, p_kind[n] as kind, p_interactive[n] as interactive,
                     p_page[n] as page, p_engaged_ms[n] as engaged_ms, p_scroll_depth[n] as scroll_depth
              from generate_series(1, cardinality(p_id)) n where p_kind[n] <= 5) e

    -- The short way: the events of a daily visitor that make one visit, or go on with the one that is near. That
    -- begins where it began and lands where it landed, so only sums change, and the exit.
    ), piece as materialized (
        select *, (lands & 4294967295)::integer as n, (leaves & 4294967295)::integer as leaves_n
        from (select visitor, min(day) as day, max(day) as last_day, min(ts) as low, max(ts) as high,
                     count(*) filter (where kind = 1)::integer as views, count(*) filter (where kind = 2)::integer as events,
                     count(*) filter (where kind = 2 and interactive)::integer as interactions,
                     coalesce(sum(engaged_ms), 0) as engaged_ms,
                     coalesce(min(place_n) filter (where kind = 1), min(place_n) filter (where kind = 2)) as lands,
                     max(place_n) filter (where kind = 1) as leaves
              from (select * from made where visitor & 1 = 0 order by visitor) m group by visitor) v
    ), met as materialized (
        select v.*, p.day = case when v.start_ts >= day_begin and v.start_ts < day_end then some_day
                             else (v.start_ts at time zone p_zone)::date end as is_of_day,
               v.start_ts <= p.high + interval '30 minutes' and v.end_ts >= p.low - interval '30 minutes' as is_near
        from piece p cross join lateral (
            select ctid as place, visitor, start_ts, end_ts, landing_ts, landing_id, exit_ts, exit_id, entry, exit, host,
                   referrer, source, country, browser, os, device, language, engaged_ms, views, events, interactions,
                   region, city, channel, bot
            from visit where site_id = p_site and build = p_build
            and visitor = p.visitor
            offset 0) v
    ), returning_visitor as materialized (
        select visitor, count(*) filter (where is_near) as nears, bool_and(is_of_day) as are_of_day,
               bool_or(bot) as any_bot, bool_and(bot) as all_bot
        from met group by visitor having count(*) > 1 or not bool_or(is_near)
    ), short as materialized (
        select v.place, p.visitor, p.day, r.visitor is not null as is_returning, p.n,
               case when v.place is null then p.n is not null else v.landing_ts is not null end and not l.bot as is_counted,
               l.bot,
               coalesce(v.start_ts, p.low) as start_ts, greatest(v.end_ts, p.high) as end_ts,
               duration_ms(coalesce(v.start_ts, p.low), greatest(v.end_ts, p.high)) as duration_ms,
               coalesce(duration_ms(v.start_ts, v.end_ts), 0) as was_duration_ms,
               case when l.is_later then time_of(p_us[p.leaves_n]) else v.exit_ts end as exit_ts,
               case when l.is_later then p_id[p.leaves_n] else coalesce(v.exit_id, 0) end as exit_id,
               case when l.is_later then p_page[p.leaves_n] else coalesce(v.exit, 0) end as exit,
               coalesce(v.exit, 0) as was_exit,
               case when v.place is not null then v.entry when p_kind[p.n] = 1 then p_page[p.n] else 0 end as entry,
               coalesce(v.host, p_host[p.n], 0) as host,
               coalesce(v.referrer, p_referrer[p.n], 0) as referrer,
               coalesce(v.source, p_source[p.n], 0) as source,
               coalesce(v.country, p_country[p.n], 0) as country,
               coalesce(v.browser, p_browser[p.n], 0) as browser,
               coalesce(v.os, p_os[p.n], 0) as os,
               coalesce(v.device, p_device[p.n], 0) as device,
               coalesce(v.language, p_language[p.n], 0) as language,
               case when v.place is null then p_region[p.n] else v.region end as region,
               case when v.place is null then p_city[p.n] else v.city end as city,
               case when v.place is null then p_channel[p.n] else v.channel end as channel,
               p.views, p.events, p.interactions, p.engaged_ms,
               coalesce(v.views, 0) as was_views, coalesce(v.events, 0) as was_events,
               coalesce(v.engaged_ms, 0) as was_engaged_ms,
               (p.views + coalesce(v.views, 0) = 1 and p.interactions + coalesce(v.interactions, 0) = 0)::integer as bounces,
               coalesce(v.views = 1 and v.interactions = 0, false)::integer as was_bounces
        from piece p left join met v on v.visitor = p.visitor and v.is_near
        left join returning_visitor r on r.visitor = p.visitor
        cross join lateral (select coalesce((v.exit_ts, v.exit_id) < (time_of(p_us[p.leaves_n]), p_id[p.leaves_n]),
                                            p.leaves_n is not null) as is_later,
                                   coalesce(v.bot, p_bot[p.n] <> 0, false) as bot) l
        where p.day = p.last_day and p.high <= p.low + interval '30 minutes'
          and (r.visitor is null or (r.nears <= 1 and r.are_of_day and case when l.bot then r.all_bot else not r.any_bot end))
          and (v.place is null
               or (v.is_of_day and p.low >= v.start_ts
                   and (p.n is null or coalesce((case when v.views > 0 then 1 else 2 end, v.landing_ts, v.landing_id)
                        < (p_kind[p.n], time_of(p_us[p.n]), p_id[p.n]), false))))
    ), short_page as materialized (
        select s.start_ts, s.day, s.is_counted, t.*, v.place, coalesce(v.views + v.events > 0, false) as was_seen,
               v.scroll_depth as was_scroll_depth, o.visitor is not null as was_seen_before
        from (select visitor, page, count(*) filter (where kind = 1)::integer as views,
                     count(*) filter (where kind = 2)::integer as events,
                     coalesce(sum(engaged_ms), 0) as engaged_ms, max(scroll_depth) as scroll_depth
              from (select * from made order by visitor, page) m group by visitor, page) t
        join short s on s.visitor = t.visitor
        left join lateral (
            select ctid as place, views, events, scroll_depth from visit_page
            where s.place is not null and site_id = p_site and build = p_build and visitor = t.visitor and page = t.page
            and start_ts = s.start_ts and day = s.day
            offset 0) v on true
        left join lateral (
            select visitor from visit_page
            where s.is_returning and site_id = p_site and build = p_build and visitor = t.visitor and page = t.page
            and start_ts <> s.start_ts and views + events > 0
            limit 1) o on true
    ), short_visits as materialized (
        select day, case grouping(entry, exit, source, referrer, host, country, browser, os, device, language, channel, region, city)
                    when 8191 then 0 when 4095 then 2 when 6143 then 3 when 7167 then 4 when 7679 then 5 when 7935 then 6
                    when 8063 then 7 when 8127 then 8 when 8159 then 9 when 8175 then 10 when 8183 then 11
                    when 8187 then 12 when 8189 then 13 when 8190 then 14 end as dimension,
               coalesce(entry, exit, source, referrer, host, country, browser, os, device, language, channel, region, city, 0) as value,
               count(*) filter (where place is null) as visits, sum(views) as pageviews, sum(events) as events,
               sum(bounces - was_bounces) as bounces, sum((duration_ms - was_duration_ms)::float8) as duration_ms,
               sum(engaged_ms::float8) as engaged_ms
        from short where is_counted
        group by grouping sets ((day), (day, entry), (day, exit), (day, source), (day, referrer), (day, host), (day, country),
                                (day, browser), (day, os), (day, device), (day, language), (day, channel), (day, region),
                                (day, city))
    ), short_moved as materialized (
        -- A visit that goes on and ends on another page takes what it was there.
        select day, e.exit, e.sign as visits, e.sign * was_views as pageviews, e.sign * was_events as events,
               e.sign * was_bounces as bounces, e.sign * was_duration_ms as duration_ms, e.sign * was_engaged_ms as engaged_ms
        from short s cross join lateral (values (s.exit, 1), (s.was_exit, -1)) as e(exit, sign)
        where s.place is not null and s.is_counted and s.exit <> s.was_exit
    ), short_same as materialized (
        -- Who has another visit of that value on the day is counted for it already, and goes on being.
        select max(s.day) as day, bool_and(s.place is null) as is_new,
               max(case when s.exit = o.exit then s.exit end) as exit, max(case when s.was_exit = o.exit then s.was_exit end) as was_exit,
               max(case when s.entry = o.entry then s.entry end) as entry,
               max(case when s.source = o.source then s.source end) as source,
               max(case when s.referrer = o.referrer then s.referrer end) as referrer,
               max(case when s.host = o.host then s.host end) as host,
               max(case when s.country = o.country then s.country end) as country,
               max(case when s.browser = o.browser then s.browser end) as browser,
               max(case when s.os = o.os then s.os end) as os,
               max(case when s.device = o.device then s.device end) as device,
               max(case when s.language = o.language then s.language end) as language,
               max(case when coalesce(s.channel, 0) = coalesce(o.channel, 0) then coalesce(s.channel, 0) end) as channel,
               max(case when coalesce(s.region, 0) = coalesce(o.region, 0) then coalesce(s.region, 0) end) as region,
               max(case when coalesce(s.city, 0) = coalesce(o.city, 0) then coalesce(s.city, 0) end) as city
        from short s join met o on o.visitor = s.visitor
        where s.is_returning and s.is_counted and o.landing_ts is not null
          and (s.place is null or (s.exit <> s.was_exit and o.place <> s.place))
        group by s.visitor
    ), short_again as (
        select day, d.dimension, d.value, -1 as visitors
        from short_same s cross join lateral (values (0, 0), (2, s.entry), (3, s.exit), (4, s.source), (5, s.referrer), (6, s.host),
                                                     (7, s.country), (8, s.browser), (9, s.os), (10, s.device), (11, s.language),
                                                     (12, s.channel), (13, s.region), (14, s.city)) as d(dimension, value)
        where d.value is not null and (s.is_new or d.dimension = 3)
        union all
        select day, 3, was_exit, 1 from short_same where not is_new and was_exit is not null
    ), difference as (
        select day, dimension, value, sum(visitors::integer) as visitors, sum(month_visitors::integer) as month_visitors,
               sum(visits::integer) as visits, sum(pageviews::float8) as pageviews, sum(events::float8) as events,
               sum(bounces::float8) as bounces, sum(duration_ms) as duration_ms, sum(entries::integer) as entries,
               sum(exits::integer) as exits, sum(engaged_ms) as engaged_ms, sum(scroll_sum::float8) as scroll_sum,
               sum(scroll_visits::integer) as scroll_visits
        from (select day, dimension, value, visits as visitors, visits as month_visitors, visits, pageviews, events, bounces, duration_ms,
                     0 as entries, 0 as exits, engaged_ms, 0 as scroll_sum, 0 as scroll_visits
              from short_visits
              union all
              select day, 3, exit, visits, visits, visits, pageviews, events, bounces, duration_ms, 0, 0, engaged_ms, 0, 0
              from short_moved
              union all
              select day, dimension, value, visitors, visitors, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
              from short_again
              union all
              select day, 1, page, case when was_seen_before then 0 else seen end, case when was_seen_before then 0 else seen end,
                     seen, views, events, 0, 0, 0, 0, engaged_ms, scroll_sum, scroll_visits
              from (select day, page, was_seen_before, (not was_seen and views + events > 0)::integer as seen, views, events, engaged_ms,
                           coalesce(greatest(scroll_depth, was_scroll_depth), 0) - coalesce(was_scroll_depth, 0) as scroll_sum,
                           (scroll_depth is not null and was_scroll_depth is null)::integer as scroll_visits
                    from short_page where is_counted and page <> 0) p
              union all
              select day, 1, value, 0, 0, 0, 0, 0, bounces, duration_ms, visits, 0, 0, 0, 0
              from short_visits where dimension = 2 and value <> 0
              union all
              select day, 1, value, 0, 0, 0, 0, 0, 0, 0, 0, visits, 0, 0, 0
              from short_visits where dimension = 3 and value <> 0
              union all
              select day, 1, exit, 0, 0, 0, 0, 0, 0, 0, 0, visits, 0, 0, 0
              from short_moved where exit <> 0) d
        group by 1, 2, 3

    -- The tables.
    ), short_visit_new as (
        insert into visit
        select p_site, p_build, visitor, start_ts, end_ts, time_of(p_us[n]), coalesce(p_id[n], 0), exit_ts, exit_id,
               entry, exit, host, referrer, source, country, browser, coalesce(p_browser_version[n], 0), os,
               coalesce(p_os_version[n], 0), device, language, engaged_ms, p_screen_width[n], views, events, interactions, region, city, p_locale[n], channel,
               p_utm_source[n], p_utm_medium[n], p_utm_campaign[n], p_utm_term[n], p_utm_content[n], p_click_id[n],
               p_brand[n], p_model[n], bot
        from short where place is null
    ), short_visit_kept as (
        update visit v
        set end_ts = s.end_ts, exit_ts = s.exit_ts, exit_id = s.exit_id, exit = s.exit,
            engaged_ms = v.engaged_ms + s.engaged_ms, views = v.views + s.views,
            events = v.events + s.events, interactions = v.interactions + s.interactions
        from short s
        where v.site_id = p_site and v.ctid = any (array(select place from short where place is not null)) and v.ctid = s.place
          and s.place is not null
    ), short_page_new as (
        insert into visit_page
        select p_site, p_build, visitor, page, start_ts, day, engaged_ms, views, events, scroll_depth
        from short_page where place is null
    ), short_page_kept as (
        update visit_page v
        set engaged_ms = v.engaged_ms + s.engaged_ms, views = v.views + s.views, events = v.events + s.events,
            scroll_depth = greatest(v.scroll_depth, s.scroll_depth)
        from short_page s
        where v.site_id = p_site and v.ctid = any (array(select place from short_page where place is not null)) and v.ctid = s.place
          and s.place is not null
    )
    select array(select row(day, dimension, value, visitors, month_visitors, visits, pageviews, events, bounces, duration_ms, entries, exits,
                        engaged_ms, scroll_sum, scroll_visits)::rollup_delta from difference
                 where (visitors, month_visitors, visits, pageviews, events, bounces, duration_ms, entries, exits,
                        engaged_ms, scroll_sum, scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
           array(select n from made where visitor & 1 = 1 or visitor not in (select visitor from short))
    into delta, rest;
    if delta <> '{}' then
        perform rollups_add(p_site, p_build, delta);
    end if;

    -- The long way, for all others: visits that are joined, begin earlier, or are several of one visitor.
    if rest = '{}' then
        return;
    end if;
    with rest as materialized (
        select *, (ts at time zone p_zone)::date as day
        from (select n, time_of(p_us[n]) as ts, p_us[n] as us, p_visitor[n] as visitor, p_id[n] as id, p_kind[n] as kind,
                     p_interactive[n] as interactive, p_page[n] as page, p_engaged_ms[n] as engaged_ms,
                     p_scroll_depth[n] as scroll_depth
              from unnest(rest) n) e
    ), scope as materialized (
        select visitor,
               case when visitor & 1 = 0 then '-infinity' else
                   least(lo, (select start_ts from visit where site_id = p_site and build = p_build
                              and (visitor, start_ts) >= (s.visitor, '-infinity')
                              and (visitor, start_ts) <= (s.visitor, lo)
                              order by visitor desc, start_ts desc limit 1)) - interval '32 days' end as lo,
               case when visitor & 1 = 0 then 'infinity' else
                   greatest(hi, (select end_ts from visit where site_id = p_site and build = p_build
                                 and (visitor, start_ts) >= (s.visitor, '-infinity')
                                 and (visitor, start_ts) <= (s.visitor, hi + interval '30 minutes')
                                 order by visitor desc, start_ts desc limit 1)) + interval '32 days' end as hi
        from (select visitor, min(ts) as lo, max(ts) as hi from rest group by visitor) s
    ), held as materialized (
        select v.* from scope s cross join lateral (
            select ctid as place, * from visit where site_id = p_site and build = p_build
            and (visitor, start_ts) >= (s.visitor, s.lo) and (visitor, start_ts) < (s.visitor, s.hi)
            offset 0) v
        union all
        select v.* from scope s cross join lateral (
            select * from (
                select ctid as place, * from visit where site_id = p_site and build = p_build
                and (visitor, start_ts) >= (s.visitor, '-infinity') and (visitor, start_ts) < (s.visitor, s.lo)
                order by visitor desc, start_ts desc limit 1) last
            where end_ts >= s.lo
        ) v
        where s.visitor & 1 = 1

    -- They and the new events, cut into visits anew: a visit is a part from its start to its end.
    ), part as (
        select place, visitor, start_ts, end_ts, false as is_new, null::date as day, null::bigint as page,
               case when visitor & 1 = 0 then (start_ts at time zone p_zone)::date end as cell,
               views, events, interactions, engaged_ms, null::smallint as scroll_depth,
               case when landing_ts is not null then array[
                   case when views > 0 then 1 else 2 end,
                   (extract(epoch from landing_ts) * 1000000)::bigint, landing_id, entry, host, referrer, source,
                   country, browser, browser_version, os, os_version, device, language, screen_width, region, city,
                   locale, channel, utm_source, utm_medium, utm_campaign, utm_term, utm_content, click_id, brand, model,
                   bot::integer] end as landing,
               case when exit_ts is not null then array[
                   (extract(epoch from exit_ts) * 1000000)::bigint, exit_id, exit] end as leaving
        from held
        union all
        select null, visitor, ts, ts, true, day, page,
               case when visitor & 1 = 0 then day end,
               (kind = 1)::integer, (kind = 2)::integer, (kind = 2 and interactive)::integer,
               coalesce(engaged_ms, 0), scroll_depth,
               case when kind <= 2 then array[
                   kind, us, id, case when kind = 1 then page else 0 end, p_host[n], p_referrer[n], p_source[n],
                   p_country[n], p_browser[n], p_browser_version[n], p_os[n], p_os_version[n], p_device[n],
                   p_language[n], p_screen_width[n], p_region[n], p_city[n], p_locale[n], p_channel[n], p_utm_source[n],
                   p_utm_medium[n], p_utm_campaign[n], p_utm_term[n], p_utm_content[n], p_click_id[n], p_brand[n],
                   p_model[n], (p_bot[n] <> 0)::integer] end,
               case when kind = 1 then array[us, id, page] end
        from rest
    ), cut as (
        select *, coalesce(start_ts - max(end_ts) over (w rows between unbounded preceding and 1 preceding)
                           > interval '30 minutes', true) as opens
        from part window w as (partition by visitor, cell order by start_ts, end_ts)
    ), placed as materialized (
        select *, max(start_ts) filter (where opens) over (w rows unbounded preceding) as visit_ts
        from cut window w as (partition by visitor, cell order by start_ts, end_ts)
    ), visit_after as materialized (
        -- `place`: of its row, unless it begins elsewhere now.
        select visitor, visit_ts as start_ts, max(end_ts) as end_ts, bool_or(is_new) as is_touched,
               count(place) as olds, min(place) filter (where start_ts = visit_ts) as place,
               min(landing) as landing, max(leaving) as leaving, sum(engaged_ms)::bigint as engaged_ms,
               sum(views)::integer as views, sum(events)::integer as events,
               sum(interactions)::integer as interactions
        from placed group by visitor, visit_ts

    -- Visits that begin elsewhere now, are parts of others, or begin or cease to count: all their pages matter.
    ), moved as materialized (
        select place, visitor, start_ts, visit_ts from placed where place is not null and start_ts <> visit_ts
        union all
        select p.place, p.visitor, p.start_ts, p.visit_ts
        from placed p join visit_after a on a.visitor = p.visitor and a.start_ts = p.visit_ts
        where p.place is not null and p.start_ts = p.visit_ts and (p.landing is not null and p.landing[28] = 0) <> (a.landing is not null and a.landing[28] = 0)
    ), pair as (
        select visitor, page from rest
        union
        select m.visitor, v.page from moved m cross join lateral (
            select page from visit_page where site_id = p_site and build = p_build and visitor = m.visitor
            and start_ts = m.start_ts offset 0) v
    ), page_held as materialized (
        select v.* from pair t cross join lateral (
            select ctid as place, * from visit_page
            where site_id = p_site and build = p_build and visitor = t.visitor and page = t.page
            offset 0) v
    ), page_before as materialized (
        select v.*, p.visit_ts
        from page_held v join placed p on p.visitor = v.visitor and p.start_ts = v.start_ts and not p.is_new
    ), page_after as materialized (
        select visitor, page, visit_ts as start_ts, day, bool_or(is_new) as is_touched,
               sum(engaged_ms)::bigint as engaged_ms, sum(views)::integer as views, sum(events)::integer as events,
               max(scroll_depth)::smallint as scroll_depth
        from (select visitor, page, visit_ts, day, start_ts <> visit_ts as is_new, engaged_ms, views, events, scroll_depth
              from page_before
              union all
              select visitor, page, visit_ts, day, true, engaged_ms, views, events, scroll_depth
              from placed where is_new) rows
        group by visitor, page, visit_ts, day

    -- What they come to, before and after: visits, their days, their pages.
    ), whole as materialized (
        select -1 as sign, visitor, start_ts, (start_ts at time zone p_zone)::date as day,
               duration_ms(start_ts, end_ts) as duration_ms, (views = 1 and interactions = 0)::integer as bounces,
               entry, exit, host, referrer, source, country, browser, os, device, language,
               coalesce(channel, 0) as channel, coalesce(region, 0) as region, coalesce(city, 0) as city
        from held where landing_ts is not null and not bot
        union all
        select 1, visitor, start_ts, (start_ts at time zone p_zone)::date, duration_ms(start_ts, end_ts),
               (views = 1 and interactions = 0)::integer, landing[4], coalesce(leaving[3], 0), landing[5], landing[6],
               landing[7], landing[8], landing[9], landing[11], landing[13], landing[14],
               coalesce(landing[19], 0), coalesce(landing[16], 0), coalesce(landing[17], 0)
        from visit_after where landing is not null and landing[28] = 0
    ), day_before as materialized (
        -- Only a visit over midnight needs its pages to tell its days. Where clocks go back over midnight it may
        -- begin and end on the same day, and have been on the next one.
        select visitor, start_ts, (start_ts at time zone p_zone)::date as day, views, events, engaged_ms
        from held where is_of_one_day(start_ts, end_ts, p_zone)
        union all
        select h.visitor, h.start_ts, d.day, d.views, d.events, d.engaged_ms
        from held h cross join lateral (
            select day, sum(views)::integer as views, sum(events)::integer as events,
                   sum(engaged_ms)::bigint as engaged_ms
            from visit_page where site_id = p_site and build = p_build and visitor = h.visitor and start_ts = h.start_ts
            group by day offset 0) d
        where not is_of_one_day(h.start_ts, h.end_ts, p_zone)
    ), by_day as (
        select -1 as sign, * from day_before
        union all
        select 1, visitor, visit_ts, day, sum(views)::integer, sum(events)::integer, sum(engaged_ms)::bigint
        from (select b.visitor, p.visit_ts, b.day, b.views, b.events, b.engaged_ms
              from day_before b join placed p on p.visitor = b.visitor and p.start_ts = b.start_ts and not p.is_new
              union all
              select visitor, visit_ts, day, views, events, engaged_ms from placed where is_new) d
        group by visitor, visit_ts, day
    ), page_share as (
        select -1 as sign, visitor, start_ts, page, day, views, events, engaged_ms, scroll_depth from page_before
        union all
        select 1, visitor, start_ts, page, day, views, events, engaged_ms, scroll_depth from page_after
    ), share as (
        select w.sign, w.visitor, d.day, v.dimension, v.value, d.views + d.events > 0 as active,
               (d.day = w.day)::integer as visits, d.views as pageviews, d.events,
               case when d.day = w.day then w.bounces else 0 end as bounces,
               case when d.day = w.day then w.duration_ms else 0 end as duration_ms,
               0 as entries, 0 as exits, d.engaged_ms, 0 as scroll_sum, 0 as scroll_visits
        from whole w join by_day d on d.sign = w.sign and d.visitor = w.visitor and d.start_ts = w.start_ts
        cross join lateral (values (0, 0), (2, entry), (3, exit), (4, source), (5, referrer), (6, host),
                                   (7, country), (8, browser), (9, os), (10, device), (11, language), (12, channel),
                                   (13, region), (14, city))
                   as v(dimension, value)
        union all
        -- A page: what its rows have, on their days…
        select w.sign, w.visitor, p.day, 1, p.page, p.views + p.events > 0, 0, p.views, p.events, 0, 0, 0, 0,
               p.engaged_ms, coalesce(p.scroll_depth, 0), (p.scroll_depth is not null)::integer
        from page_share p join whole w on w.sign = p.sign and w.visitor = p.visitor and w.start_ts = p.start_ts
        where p.page <> 0
        union all
        -- …that its visits saw it, on theirs…
        select w.sign, w.visitor, w.day, 1, p.page, false, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        from (select distinct sign, visitor, start_ts, page from page_share where views + events > 0) p
        join whole w on w.sign = p.sign and w.visitor = p.visitor and w.start_ts = p.start_ts
        where p.page <> 0
        union all
        -- …and which began or ended there.
        select sign, visitor, day, 1, entry, false, 0, 0, 0, bounces, duration_ms, 1, 0, 0, 0, 0
        from whole where entry <> 0
        union all
        select sign, visitor, day, 1, exit, false, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0
        from whole where exit <> 0

    -- The difference, which is nothing for what is unchanged. A visitor counts once a day, and a persistent
    -- one once a month.
    ), daily as materialized (
        select visitor, day, dimension, value, bool_or(active and sign = 1) as is_active,
               bool_or(active and sign = -1) as was_active,
               sum(sign * visits) as visits, sum(sign * pageviews) as pageviews,
               sum(sign * events) as events, sum(sign * bounces) as bounces,
               sum((sign * duration_ms)::float8) as duration_ms, sum(sign * entries) as entries,
               sum(sign * exits) as exits, sum((sign * engaged_ms)::float8) as engaged_ms,
               sum(sign * scroll_sum) as scroll_sum, sum(sign * scroll_visits) as scroll_visits
        from share group by 1, 2, 3, 4
    ), difference as (
        select day, dimension, value, sum(visitors::integer) as visitors, sum(month_visitors::integer) as month_visitors,
               sum(visits::integer) as visits, sum(pageviews::float8) as pageviews, sum(events::float8) as events,
               sum(bounces::float8) as bounces, sum(duration_ms) as duration_ms, sum(entries::integer) as entries,
               sum(exits::integer) as exits, sum(engaged_ms) as engaged_ms, sum(scroll_sum::float8) as scroll_sum,
               sum(scroll_visits::integer) as scroll_visits
        from (select day, dimension, value, is_active::integer - was_active::integer as visitors,
                     case when visitor & 1 = 0 then is_active::integer - was_active::integer else 0 end as month_visitors,
                     visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum, scroll_visits
              from daily
              union all
              select date_trunc('month', day::timestamp)::date, dimension, value, 0,
                     bool_or(is_active)::integer - bool_or(was_active)::integer, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
              from daily where visitor & 1 = 1
              group by visitor, 1, 2, 3) d
        group by 1, 2, 3

    -- The tables.
    ), visit_gone as (
        delete from visit where site_id = p_site and ctid = any (array(select place from moved where start_ts <> visit_ts))
    ), visit_kept as (
        insert into visit
        select p_site, p_build, visitor, start_ts, end_ts,
               time_of(landing[2]), coalesce(landing[3], 0),
               time_of(leaving[1]), coalesce(leaving[2], 0),
               coalesce(landing[4], 0), coalesce(leaving[3], 0), coalesce(landing[5], 0), coalesce(landing[6], 0),
               coalesce(landing[7], 0), coalesce(landing[8], 0), coalesce(landing[9], 0), coalesce(landing[10], 0),
               coalesce(landing[11], 0), coalesce(landing[12], 0), coalesce(landing[13], 0), coalesce(landing[14], 0),
               engaged_ms, landing[15], views, events, interactions, landing[16], landing[17], landing[18], landing[19],
               landing[20], landing[21], landing[22], landing[23], landing[24], landing[25], landing[26], landing[27],
               coalesce(landing[28] = 1, false)
        from visit_after where is_touched
        on conflict (site_id, build, visitor, start_ts) do update set
            end_ts = excluded.end_ts, landing_ts = excluded.landing_ts, landing_id = excluded.landing_id,
            exit_ts = excluded.exit_ts, exit_id = excluded.exit_id, entry = excluded.entry, exit = excluded.exit,
            host = excluded.host, referrer = excluded.referrer, source = excluded.source,
            country = excluded.country, browser = excluded.browser, browser_version = excluded.browser_version,
            os = excluded.os, os_version = excluded.os_version, device = excluded.device,
            language = excluded.language, engaged_ms = excluded.engaged_ms, screen_width = excluded.screen_width,
            views = excluded.views, events = excluded.events, interactions = excluded.interactions,
            region = excluded.region, city = excluded.city, locale = excluded.locale, channel = excluded.channel, utm_source = excluded.utm_source,
            utm_medium = excluded.utm_medium, utm_campaign = excluded.utm_campaign, utm_term = excluded.utm_term,
            utm_content = excluded.utm_content, click_id = excluded.click_id, brand = excluded.brand, model = excluded.model, bot = excluded.bot
    ), page_gone as (
        delete from visit_page where site_id = p_site and ctid = any (array(select place from page_before where start_ts <> visit_ts))
    ), page_kept as (
        insert into visit_page
        select p_site, p_build, visitor, page, start_ts, day, engaged_ms, views, events, scroll_depth
        from page_after where is_touched
        on conflict (site_id, build, visitor, page, start_ts, day) do update set
            engaged_ms = excluded.engaged_ms, views = excluded.views, events = excluded.events,
            scroll_depth = excluded.scroll_depth
    )
    select array(select row(day, dimension, value, visitors, month_visitors, visits, pageviews, events, bounces, duration_ms, entries, exits,
                        engaged_ms, scroll_sum, scroll_visits)::rollup_delta from difference
                 where (visitors, month_visitors, visits, pageviews, events, bounces, duration_ms, entries, exits,
                        engaged_ms, scroll_sum, scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    into delta;
    perform rollups_add(p_site, p_build, delta);
end
$$;
-- One plan for all calls: one of its own has the arrays in it as literals, in which the n-th text, or the n-th
-- behind a null, is found by going through those before it. So a call took time by the square of its events.
alter function events_apply set plan_cache_mode = force_generic_plan;
alter function events_apply set enable_seqscan = off;
alter function events_apply set enable_bitmapscan = off;
alter function events_apply set jit = off;
revoke execute on all functions in schema public from public;
grant execute on function local_midnight, rollups_add to footfall_worker;
