// Mistakes in visits_count() that must not go unseen: what to replace in its text by what.
export const MUTANTS = {
  'a gap of exactly 30:00 cut a visit': [["> interval '30 minutes' as opens", ">= interval '30 minutes' as opens"]],
  'events at the same time had no order': [['bigint, id, case when kind = 1', 'bigint, 0, case when kind = 1'], ['bigint, landing_id, entry', 'bigint, 0, entry']],
  'the source were that of the event that came first': [['min(landing) as landing', 'coalesce(min(landing) filter (where not is_new), min(landing)) as landing']],
  'a custom event before the first page view were the landing': [['case when views > 0 then 1 else 2 end', '1'], ['kind, (extract', '1, (extract']],
  'events counted on the day of the latest with them': [['(ts at time zone p_zone)::date as day', '(max(ts) over () at time zone p_zone)::date as day']],
  'days were those of UTC': [['at time zone p_zone', "at time zone 'UTC'"]],
  "a daily visitor's visit went on after midnight": [['case when visitor & 1 = 0 then day end', 'null::date'], ['case when visitor & 1 = 0 then (start_ts at time zone p_zone)::date end', 'null::date']],
  "a persistent visitor's visit ended at midnight": [['case when visitor & 1 = 0 then day end', 'day'], ['case when visitor & 1 = 0 then (start_ts at time zone p_zone)::date end', '(start_ts at time zone p_zone)::date']],
  'a visitor of two visits counted twice a day': [['sum(is_active::integer - was_active::integer) as visitors', 'sum(visits) as visitors']],
  'a persistent visitor counted twice a month': [['filter (where visitor & 1 = 0)', 'filter (where true)'], ['from daily where visitor & 1 = 1', 'from daily where false']],
  'a visit that was joined stayed': [['select place from moved where start_ts <> visit_ts', 'select place from moved where false']],
  "a joined visit's pages stayed": [['select place from page_before where start_ts <> visit_ts', 'select place from page_before where false']],
  'rows of zeros stayed': [['delete from rollup_day where ctid = any (zero_days);', '']],
  'a visit with an interaction were a bounce': [['(views = 1 and interactions = 0)::integer', '(views = 1)::integer']],
  'exits and pings did not lengthen a visit': [['where kind <= 5', 'where kind <= 3']],
  'scroll depths were added up': [['max(scroll_depth)::smallint', 'least(sum(scroll_depth), 100)::smallint']],
};
