-- 0006_visits.sql: visits, their pages and the rollups by local day and month, as proto/words.md defines
-- them, kept by difference in the transaction that stores the events. No event is read again: all that an
-- event can change is in the visits of its visitor and the pages that it touches.

-- What counting depends on, read inside the apply transaction. The zone is the site's when its first event
-- came; only a rebuild changes it. All that is counted carries the number of its build: reports read that of
-- `build`, and while a rebuild is under way events are counted for `next_build`, too.
create table site (
    site_id    integer not null,
    build      integer not null,
    zone       text    not null,
    next_build integer,
    next_zone  text,
    constraint site_pk primary key (site_id)
);
-- Build 0: with events that are not counted yet, since they came before this was. `footfall rebuild` does it.
insert into site select site_id, 0, 'UTC' from (select distinct site_id from event) earlier;

create table visit (
    site_id         integer     not null,
    build           integer     not null,
    visitor         bigint      not null,            -- lowest bit 1: persistent, 0: of one day
    start_ts        timestamptz not null,
    end_ts          timestamptz not null,
    landing_ts      timestamptz,                     -- first page view, else first custom event; null: not counted
    landing_id      bigint      not null,
    exit_ts         timestamptz,                     -- last page view
    exit_id         bigint      not null,
    entry           bigint      not null,
    exit            bigint      not null,
    host            bigint      not null,            -- from here on: of the landing
    referrer        bigint      not null,
    source          bigint      not null,
    country         bigint      not null,
    browser         bigint      not null,
    browser_version bigint      not null,
    os              bigint      not null,
    os_version      bigint      not null,
    device          bigint      not null,
    language        bigint      not null,
    engaged_ms      bigint      not null,
    screen_width    integer,
    views           integer     not null,
    events          integer     not null,
    interactions    integer     not null,
    constraint visit_pk primary key (site_id, build, visitor, start_ts)
) with (fillfactor = 80);
create index visit_start on visit using brin (start_ts);

-- The page comes before the visit in the key: an event asks for its visitor's rows of its page.
create table visit_page (
    site_id      integer     not null,
    build        integer     not null,
    visitor      bigint      not null,
    page         bigint      not null,
    start_ts     timestamptz not null,               -- of the visit
    day          date        not null,
    engaged_ms   bigint      not null,
    views        integer     not null,
    events       integer     not null,
    scroll_depth smallint,
    constraint visit_page_pk primary key (site_id, build, visitor, page, start_ts, day)
) with (fillfactor = 80);

create table rollup_day (
    site_id       integer  not null,
    build         integer  not null,
    day           date     not null,
    dimension     smallint not null,                 -- proto/words.md
    value         bigint   not null,
    visitors      bigint   not null,
    visits        bigint   not null,
    pageviews     bigint   not null,
    events        bigint   not null,
    bounces       bigint   not null,
    duration_ms   bigint   not null,
    entries       bigint   not null,
    exits         bigint   not null,
    engaged_ms    bigint   not null,
    scroll_sum    bigint   not null,
    scroll_visits bigint   not null,
    constraint rollup_day_pk primary key (site_id, build, dimension, day, value)
) with (fillfactor = 70);
create table rollup_month (like rollup_day) with (fillfactor = 70);
alter table rollup_month rename column day to month;
alter table rollup_month add constraint rollup_month_pk primary key (site_id, build, dimension, month, value);

grant select, insert on site to footfall_worker;
grant select, insert, update, delete on visit, visit_page, rollup_day, rollup_month to footfall_worker;
grant select on site, visit, visit_page, rollup_day, rollup_month to footfall_query;

-- Count events that are new to a build of a site: arrays of one length, the n-th of each making the n-th
-- event. The caller has the site's lock, so rows stay where they were found (ctid) until the end. One
-- statement does it, so that what was before is read at one point:
--
--   made           the events that make visits         part, placed   they and those visits, cut into
--   held           visits of their visitors                           visits anew
--   visit_after    those visits as they are now        page_after     the pages that are touched, likewise
--   share          what each visit and page adds to each row of the rollups, before (-) and after (+)
--
-- A daily visitor's visits are all read, which are those of a day; a persistent one's for the months touched
-- and some around them: a visitor counts once there, in whichever visit, and what does not change cancels
-- out. Most visitors have a single visit, and what changes are its sums: they go a short way.
create function visits_count(
    p_site integer, p_build integer, p_zone text, p_ts timestamptz[], p_visitor bigint[], p_id bigint[],
    p_kind smallint[], p_interactive boolean[], p_host bigint[], p_page bigint[], p_referrer bigint[],
    p_source bigint[], p_country bigint[], p_browser bigint[], p_browser_version bigint[], p_os bigint[],
    p_os_version bigint[], p_device bigint[], p_language bigint[], p_screen_width integer[],
    p_engaged_ms integer[], p_scroll_depth smallint[])
returns void language plpgsql
-- How many elements an array has is not known when the plan is made, nor how large the tables will be: joins
-- by loops would be quadratic, looking rows up by anything but their key is slow in the end, and grouping by
-- hashes beats sorting.
set enable_nestloop = off set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    zero_days tid[];
    zero_months tid[];
begin
    -- The visits of their visitors, as far as anything of them can change or is to be known. The rows are
    -- compared whole, so that no plan goes through all visits of a time by the other index.
    with made as materialized (
        select *, (ts at time zone p_zone)::date as day
        from unnest(p_ts, p_visitor, p_id, p_kind, p_interactive, p_host, p_page, p_referrer, p_source, p_country,
                    p_browser, p_browser_version, p_os, p_os_version, p_device, p_language, p_screen_width,
                    p_engaged_ms, p_scroll_depth)
             as e(ts, visitor, id, kind, interactive, host, page, referrer, source, country, browser,
                  browser_version, os, os_version, device, language, screen_width, engaged_ms, scroll_depth)
        where kind <= 5
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
        from (select visitor, min(ts) as lo, max(ts) as hi from made group by visitor) s
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
                   country, browser, browser_version, os, os_version, device, language, screen_width] end as landing,
               case when exit_ts is not null then array[
                   (extract(epoch from exit_ts) * 1000000)::bigint, exit_id, exit] end as leaving
        from held
        union all
        select null, visitor, ts, ts, true, day, page,
               case when visitor & 1 = 0 then day end,
               (kind = 1)::integer, (kind = 2)::integer, (kind = 2 and interactive)::integer,
               coalesce(engaged_ms, 0), scroll_depth,
               case when kind <= 2 then array[
                   kind, (extract(epoch from ts) * 1000000)::bigint, id, case when kind = 1 then page else 0 end,
                   host, referrer, source, country, browser, browser_version, os, os_version, device, language,
                   screen_width] end,
               case when kind = 1 then array[(extract(epoch from ts) * 1000000)::bigint, id, page] end
        from made
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
    ), crowd as materialized (
        -- Visitors who have more than a single visit that stays where it begins, or may have.
        select visitor from visit_after group by visitor
        having visitor & 1 = 1 or count(*) > 1 or bool_or(olds > 1 or (olds = 1 and place is null))

    -- Visits that begin elsewhere now, are parts of others, or begin to count: all their pages matter.
    ), moved as materialized (
        select place, visitor, start_ts, visit_ts from placed where place is not null and start_ts <> visit_ts
        union all
        select p.place, p.visitor, p.start_ts, p.visit_ts
        from placed p join visit_after a on a.visitor = p.visitor and a.start_ts = p.visit_ts
        where p.place is not null and p.start_ts = p.visit_ts and p.landing is null and a.landing is not null
    ), pair as (
        select visitor, page from made
        union
        select m.visitor, v.page from moved m cross join lateral (
            select page from visit_page where site_id = p_site and build = p_build and visitor = m.visitor
            and start_ts = m.start_ts offset 0) v
    ), page_before as materialized (
        select v.*, p.visit_ts
        from pair t cross join lateral (
            select ctid as place, * from visit_page
            where site_id = p_site and build = p_build and visitor = t.visitor and page = t.page
            offset 0) v
        join placed p on p.visitor = v.visitor and p.start_ts = v.start_ts and not p.is_new
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
        select sign, visitor, start_ts, day, duration_ms, bounces, views, events, engaged_ms, entry, exit,
               host, referrer, source, country, browser, os, device, language,
               visitor in (select visitor from crowd) as is_crowd
        from (select -1 as sign, visitor, start_ts, (start_ts at time zone p_zone)::date as day,
                     floor(extract(epoch from end_ts - start_ts) * 1000)::bigint as duration_ms,
                     (views = 1 and interactions = 0)::integer as bounces, views, events, engaged_ms,
                     entry, exit, host, referrer, source, country, browser, os, device, language
              from held where landing_ts is not null
              union all
              select 1, visitor, start_ts, (start_ts at time zone p_zone)::date,
                     floor(extract(epoch from end_ts - start_ts) * 1000)::bigint,
                     (views = 1 and interactions = 0)::integer, views, events, engaged_ms,
                     landing[4], coalesce(leaving[3], 0), landing[5], landing[6], landing[7],
                     landing[8], landing[9], landing[11], landing[13], landing[14]
              from visit_after where landing is not null) w
    ), crowd_held as (
        select *, (start_ts at time zone p_zone)::date = (end_ts at time zone p_zone)::date
               and (end_ts at time zone p_zone) - (start_ts at time zone p_zone) = end_ts - start_ts as is_of_one_day
        from held where visitor in (select visitor from crowd)
    ), day_before as materialized (
        -- Only a visit over midnight needs its pages to tell its days. Where clocks go back over midnight it may
        -- begin and end on the same day, and have been on the next one.
        select visitor, start_ts, (start_ts at time zone p_zone)::date as day, views, events, engaged_ms
        from crowd_held where is_of_one_day
        union all
        select h.visitor, h.start_ts, d.day, d.views, d.events, d.engaged_ms
        from crowd_held h cross join lateral (
            select day, sum(views)::integer as views, sum(events)::integer as events,
                   sum(engaged_ms)::bigint as engaged_ms
            from visit_page where site_id = p_site and build = p_build and visitor = h.visitor and start_ts = h.start_ts
            group by day offset 0) d
        where not is_of_one_day
    ), by_day as (
        select -1 as sign, * from day_before
        union all
        select 1, visitor, visit_ts, day, sum(views), sum(events), sum(engaged_ms)
        from (select b.visitor, p.visit_ts, b.day, b.views, b.events, b.engaged_ms
              from day_before b join placed p on p.visitor = b.visitor and p.start_ts = b.start_ts and not p.is_new
              union all
              select visitor, visit_ts, day, views, events, engaged_ms
              from placed where is_new and visitor in (select visitor from crowd)) d
        group by visitor, visit_ts, day
    ), page_share as (
        select -1 as sign, visitor, start_ts, page, day, views, events, engaged_ms, scroll_depth from page_before
        union all
        select 1, visitor, start_ts, page, day, views, events, engaged_ms, scroll_depth from page_after
    ), share as materialized (
        select w.is_crowd, w.sign, w.visitor, d.day, v.dimension, v.value, d.views + d.events > 0 as active,
               (d.day = w.day)::integer as visits, d.views as pageviews, d.events,
               case when d.day = w.day then w.bounces else 0 end as bounces,
               case when d.day = w.day then w.duration_ms else 0 end as duration_ms,
               0 as entries, 0 as exits, d.engaged_ms, 0 as scroll_sum, 0 as scroll_visits
        from whole w join by_day d on d.sign = w.sign and d.visitor = w.visitor and d.start_ts = w.start_ts
        cross join lateral (values (0, 0), (2, entry), (3, exit), (4, source), (5, referrer), (6, host),
                                   (7, country), (8, browser), (9, os), (10, device), (11, language))
                   as v(dimension, value)
        where w.is_crowd
        union all
        select false, sign, visitor, day, 3, exit, true, 1, views, events, bounces, duration_ms, 0, 0, engaged_ms, 0, 0
        from whole where not is_crowd
        union all
        -- A page: what its rows have, on their days…
        select w.is_crowd, w.sign, w.visitor, p.day, 1, p.page, p.views + p.events > 0, 0, p.views, p.events, 0, 0, 0, 0,
               p.engaged_ms, coalesce(p.scroll_depth, 0), (p.scroll_depth is not null)::integer
        from page_share p join whole w on w.sign = p.sign and w.visitor = p.visitor and w.start_ts = p.start_ts
        where p.page <> 0
        union all
        -- …that its visits saw it, on theirs…
        select w.is_crowd, w.sign, w.visitor, w.day, 1, p.page, false, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
        from (select distinct sign, visitor, start_ts, page from page_share where views + events > 0) p
        join whole w on w.sign = p.sign and w.visitor = p.visitor and w.start_ts = p.start_ts
        where p.page <> 0
        union all
        -- …and which began or ended there.
        select is_crowd, sign, visitor, day, 1, entry, false, 0, 0, 0, bounces, duration_ms, 1, 0, 0, 0, 0
        from whole where entry <> 0
        union all
        select is_crowd, sign, visitor, day, 1, exit, false, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0
        from whole where exit <> 0

    -- The difference, which is nothing for what is unchanged. A visitor counts once a day, and a persistent
    -- one once a month. Sums are doubles, exact up to 2^53: those of bigint are numeric, and thrice as slow.
    ), daily as materialized (
        select visitor, day, dimension, value, bool_or(active and sign = 1) as is_active,
               bool_or(active and sign = -1) as was_active,
               sum(sign * visits) as visits, sum(sign * pageviews) as pageviews,
               sum(sign * events) as events, sum(sign * bounces) as bounces,
               sum((sign * duration_ms)::float8) as duration_ms, sum(sign * entries) as entries,
               sum(sign * exits) as exits, sum((sign * engaged_ms)::float8) as engaged_ms,
               sum(sign * scroll_sum) as scroll_sum, sum(sign * scroll_visits) as scroll_visits
        from share where is_crowd group by 1, 2, 3, 4
    ), single as (
        -- One row where nothing but sums change, which is the rule.
        select day, entry, host, referrer, source, country, browser, os, device, language,
               sum(sign)::integer as visits, sum(sign * views)::integer as pageviews,
               sum(sign * events)::integer as events, sum(sign * bounces)::integer as bounces,
               sum((sign * duration_ms)::float8) as duration_ms, sum((sign * engaged_ms)::float8) as engaged_ms
        from whole where not is_crowd
        group by visitor, day, entry, host, referrer, source, country, browser, os, device, language
    ), day_difference as materialized (
        select day, dimension, value, sum(visitors::float8) as visitors,
               sum(visits::float8) as visits, sum(pageviews::float8) as pageviews, sum(events::float8) as events,
               sum(bounces::float8) as bounces, sum(duration_ms) as duration_ms, sum(entries::float8) as entries,
               sum(exits::float8) as exits, sum(engaged_ms) as engaged_ms, sum(scroll_sum::float8) as scroll_sum,
               sum(scroll_visits::float8) as scroll_visits, sum(daily_visitors::float8) as daily_visitors
        from (select day, dimension, value, is_active::integer - was_active::integer as visitors, visits, pageviews,
                     events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum, scroll_visits,
                     case when visitor & 1 = 0 then is_active::integer - was_active::integer else 0 end as daily_visitors
              from daily
              union all
              select day, dimension, value, sign * active::integer, sign * visits, sign * pageviews, sign * events,
                     sign * bounces, sign * duration_ms, sign * entries, sign * exits, sign * engaged_ms,
                     sign * scroll_sum, sign * scroll_visits, sign * active::integer
              from share where not is_crowd
              union all
              select day, case grouping(entry, source, referrer, host, country, browser, os, device, language)
                          when 511 then 0 when 255 then 2 when 383 then 4 when 447 then 5 when 479 then 6
                          when 495 then 7 when 503 then 8 when 507 then 9 when 509 then 10 when 510 then 11 end,
                     coalesce(entry, source, referrer, host, country, browser, os, device, language, 0),
                     sum(visits), sum(visits), sum(pageviews), sum(events), sum(bounces), sum(duration_ms), 0, 0,
                     sum(engaged_ms), 0, 0, sum(visits)
              from single
              group by grouping sets ((day), (day, entry), (day, source), (day, referrer), (day, host), (day, country),
                                      (day, browser), (day, os), (day, device), (day, language))) d
        group by 1, 2, 3
    ), month_difference as (
        select month, dimension, value, sum(visitors::float8) as visitors, sum(visits) as visits,
               sum(pageviews) as pageviews, sum(events) as events, sum(bounces) as bounces,
               sum(duration_ms) as duration_ms, sum(entries) as entries, sum(exits) as exits,
               sum(engaged_ms) as engaged_ms, sum(scroll_sum) as scroll_sum, sum(scroll_visits) as scroll_visits
        from (select date_trunc('month', day::timestamp)::date as month, dimension, value,
                     daily_visitors as visitors, visits, pageviews, events, bounces, duration_ms,
                     entries, exits, engaged_ms, scroll_sum, scroll_visits
              from day_difference
              union all
              select date_trunc('month', day::timestamp)::date, dimension, value,
                     bool_or(is_active)::integer - bool_or(was_active)::integer, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
              from daily where visitor & 1 = 1
              group by visitor, 1, 2, 3) m
        group by 1, 2, 3

    -- The tables.
    ), visit_gone as (
        delete from visit where site_id = p_site and ctid = any (array(select place from moved where start_ts <> visit_ts))
    ), visit_kept as (
        insert into visit
        select p_site, p_build, visitor, start_ts, end_ts,
               timestamptz 'epoch' + landing[2] * interval '1 microsecond', coalesce(landing[3], 0),
               timestamptz 'epoch' + leaving[1] * interval '1 microsecond', coalesce(leaving[2], 0),
               coalesce(landing[4], 0), coalesce(leaving[3], 0), coalesce(landing[5], 0), coalesce(landing[6], 0),
               coalesce(landing[7], 0), coalesce(landing[8], 0), coalesce(landing[9], 0), coalesce(landing[10], 0),
               coalesce(landing[11], 0), coalesce(landing[12], 0), coalesce(landing[13], 0), coalesce(landing[14], 0),
               engaged_ms, landing[15], views, events, interactions
        from visit_after where is_touched
        on conflict (site_id, build, visitor, start_ts) do update set
            end_ts = excluded.end_ts, landing_ts = excluded.landing_ts, landing_id = excluded.landing_id,
            exit_ts = excluded.exit_ts, exit_id = excluded.exit_id, entry = excluded.entry, exit = excluded.exit,
            host = excluded.host, referrer = excluded.referrer, source = excluded.source,
            country = excluded.country, browser = excluded.browser, browser_version = excluded.browser_version,
            os = excluded.os, os_version = excluded.os_version, device = excluded.device,
            language = excluded.language, engaged_ms = excluded.engaged_ms, screen_width = excluded.screen_width,
            views = excluded.views, events = excluded.events, interactions = excluded.interactions
    ), page_gone as (
        delete from visit_page where site_id = p_site and ctid = any (array(select place from page_before where start_ts <> visit_ts))
    ), page_kept as (
        insert into visit_page
        select p_site, p_build, visitor, page, start_ts, day, engaged_ms, views, events, scroll_depth
        from page_after where is_touched
        on conflict (site_id, build, visitor, page, start_ts, day) do update set
            engaged_ms = excluded.engaged_ms, views = excluded.views, events = excluded.events,
            scroll_depth = excluded.scroll_depth
    ), days_kept as (
        insert into rollup_day as r
        select p_site, p_build, day, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms,
               entries, exits, engaged_ms, scroll_sum, scroll_visits
        from day_difference
        where (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum,
               scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        order by dimension, day, value
        on conflict (site_id, build, dimension, day, value) do update set
            visitors = r.visitors + excluded.visitors, visits = r.visits + excluded.visits,
            pageviews = r.pageviews + excluded.pageviews, events = r.events + excluded.events,
            bounces = r.bounces + excluded.bounces, duration_ms = r.duration_ms + excluded.duration_ms,
            entries = r.entries + excluded.entries, exits = r.exits + excluded.exits,
            engaged_ms = r.engaged_ms + excluded.engaged_ms, scroll_sum = r.scroll_sum + excluded.scroll_sum,
            scroll_visits = r.scroll_visits + excluded.scroll_visits
        returning ctid as place, (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms,
            scroll_sum, scroll_visits) = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) as zero
    ), months_kept as (
        insert into rollup_month as r
        select p_site, p_build, * from month_difference
        where (visitors, visits, pageviews, events, bounces, duration_ms, entries, exits, engaged_ms, scroll_sum,
               scroll_visits) <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        order by dimension, month, value
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
    select array(select place from days_kept where zero), array(select place from months_kept where zero)
    into zero_days, zero_months;

    delete from rollup_day where site_id = p_site and ctid = any (zero_days);
    delete from rollup_month where site_id = p_site and ctid = any (zero_months);
end
$$;

-- Store events of one site: arrays of one length, the n-th of each making the n-th event, texts by
-- their ids, with the values of all these ids beside them. Returns how many were new. The site's lock
-- makes it one step: look for repeats, insert, and count.
--
-- A repeated id: a daily visitor's copies lie within one local day, which has 25 h at most, so looking
-- 26 h to either side finds them in at most two partitions.
drop function events_apply;
create function events_apply(
    p_site integer, p_zone text, p_string_id bigint[], p_string_value text[],
    p_ts_us bigint[], p_visitor bigint[], p_id bigint[], p_kind smallint[], p_interactive boolean[],
    p_name bigint[], p_host bigint[], p_page bigint[], p_title bigint[], p_referrer bigint[],
    p_source bigint[], p_country bigint[], p_browser bigint[], p_browser_version bigint[],
    p_os bigint[], p_os_version bigint[], p_device bigint[], p_language bigint[],
    p_screen_width integer[], p_engaged_ms integer[], p_scroll_depth smallint[],
    p_revenue numeric[], p_currency text[], p_props text[], p_metadata text[])
returns integer language plpgsql as $$
declare
    begins timestamptz;
    added record;
    target record;
begin
    perform pg_advisory_xact_lock(1, p_site);
    insert into site (site_id, build, zone) values (p_site, 1, p_zone) on conflict do nothing;
    begins := retention_begin(p_site);
    perform event_partition(month at time zone 'UTC')
    from (select distinct date_trunc('month', timestamp 'epoch' + us * interval '1 microsecond') as month
          from unnest(p_ts_us) as us
          where timestamptz 'epoch' + us * interval '1 microsecond' >= begins order by 1) months;

    insert into string (site_id, id, value)
    select p_site, s.id, s.value from unnest(p_string_id, p_string_value) as s(id, value)
    order by s.id
    on conflict do nothing;

    with fresh as (
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
        on conflict do nothing
        returning *
    )
    select count(*)::integer as stored,
           array_agg(ts) as ts, array_agg(visitor) as visitor, array_agg(id) as id, array_agg(kind) as kind,
           array_agg(interactive) as interactive, array_agg(host) as host, array_agg(page) as page,
           array_agg(referrer) as referrer, array_agg(source) as source, array_agg(country) as country,
           array_agg(browser) as browser, array_agg(browser_version) as browser_version, array_agg(os) as os,
           array_agg(os_version) as os_version, array_agg(device) as device, array_agg(language) as language,
           array_agg(screen_width) as screen_width, array_agg(engaged_ms) as engaged_ms,
           array_agg(scroll_depth) as scroll_depth
    into added from fresh;

    for target in
        select build, zone from site where site_id = p_site
        union all
        select next_build, next_zone from site where site_id = p_site and next_build is not null
    loop
        if added.stored > 0 then
            perform visits_count(p_site, target.build, target.zone,
                added.ts, added.visitor, added.id, added.kind, added.interactive, added.host, added.page,
                added.referrer, added.source, added.country, added.browser, added.browser_version, added.os,
                added.os_version, added.device, added.language, added.screen_width, added.engaged_ms,
                added.scroll_depth);
        end if;
    end loop;
    return added.stored;
end
$$;
revoke execute on all functions in schema public from public;
grant execute on function events_apply, visits_count to footfall_worker;
