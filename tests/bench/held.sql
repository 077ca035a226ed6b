-- Fill a site's tables with :n events of the three weeks before yesterday, as so many would have left them: 20 days
-- of visits of three events, on two of 3,000 pages. Faster than sending them, and of the same size and order; what is
-- counted in the rollups is made up. For the bench that says whether applying takes longer the more there is.
set synchronous_commit = off;
create temp table made as
select v, ((extract(epoch from day)::bigint / 86400) << 48) | (hashint8extended(v, 1) & ((1::bigint << 48) - 2)) as visitor,
       day + (hashint8extended(v, 2) & 65535) * interval '1 second' as start_ts,
       hashint8extended((hashint8extended(v, 3) & 4095) % 3000, 4) as entry,
       hashint8extended((hashint8extended(v, 5) & 4095) % 3000, 4) as exit
from generate_series(0, :n / 3 - 1) v
cross join lateral (select date_trunc('day', now(), 'UTC') + v * 20 / (:n / 3) * interval '1 day' - interval '22 days') d(day);
select event_partition(start_ts) from (select distinct date_trunc('day', start_ts) as start_ts from made) d;
insert into site (site_id, build, zone) values (:site, 1, 'UTC');
insert into event (site_id, ts, visitor, id, kind, interactive, name, host, page, title, referrer, source, country, browser,
                   browser_version, os, os_version, device, language, screen_width, engaged_ms, scroll_depth, channel)
select :site, start_ts + k * interval '40 seconds', visitor, hashint8extended(v * 3 + k, 6), case k when 2 then 3 else 1 end,
       true, 0, 1, case k when 0 then entry else exit end, entry + 1, v % 300, v % 40, v % 60, v % 20, v % 80, v % 8, v % 30,
       v % 3, v % 10, 320 + v % 2000, case k when 2 then 5000 end, case k when 2 then 50 end, 2
from made, generate_series(0, 2) k;
insert into visit (site_id, build, visitor, start_ts, end_ts, landing_ts, landing_id, exit_ts, exit_id, entry, exit, host,
                   referrer, source, country, browser, browser_version, os, os_version, device, language, engaged_ms,
                   screen_width, views, events, interactions, channel)
select :site, 1, visitor, start_ts, start_ts + interval '80 seconds', start_ts, v, start_ts, v, entry, exit, 1, v % 300,
       v % 40, v % 60, v % 20, v % 80, v % 8, v % 30, v % 3, v % 10, 5000, 320 + v % 2000, 2, 0, 0, 2
from made;
insert into visit_page (site_id, build, visitor, page, start_ts, day, engaged_ms, views, events, scroll_depth)
select :site, 1, visitor, page, start_ts, (start_ts at time zone 'UTC')::date, 0, 1, 0, 50
from made cross join lateral (select entry as page union select exit) p;
insert into rollup_day
select :site, 1, day::date, dimension, hashint8extended(value, 4), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
from generate_series(date_trunc('day', now() at time zone 'UTC') - interval '22 days', now() at time zone 'UTC' - interval '3 days', '1 day') day,
     generate_series(1, 14) dimension, generate_series(0, 2999) value
where dimension <= 3 or value < 60;
insert into rollup_month
select site_id, build, date_trunc('month', day::timestamp)::date as month, dimension, value, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
from rollup_day group by 1, 2, 3, 4, 5;
vacuum analyze event, visit, visit_page, rollup_day, rollup_month;
