-- citus.sql: spreads the metrics database over a Citus cluster, by site. For the superuser, once, on the coordinator,
-- when `footfall migrate` has made the tables; rows that are there already go along. How: deploy/citus.md.
--
-- All that a site's events become lies together, so that counting and reports ask one node each.
select create_distributed_table('event', 'site_id', colocate_with => 'none');
select create_distributed_table('string', 'site_id', colocate_with => 'event');
select create_distributed_table('site', 'site_id', colocate_with => 'event');
select create_distributed_table('visit', 'site_id', colocate_with => 'event');
select create_distributed_table('visit_page', 'site_id', colocate_with => 'event');
select create_distributed_table('rollup_day', 'site_id', colocate_with => 'event');
select create_distributed_table('rollup_month', 'site_id', colocate_with => 'event');
select create_distributed_table('retention_done', 'site_id', colocate_with => 'event');
select create_distributed_table('string_doubt', 'site_id', colocate_with => 'event');
select create_distributed_table('dropped', 'site_id', colocate_with => 'event');
select create_distributed_table('dropped_sample', 'site_id', colocate_with => 'event');

-- Small, and with rows that are about every site: on every node.
select create_reference_table('retention');
select create_reference_table('forgotten');
select create_reference_table('site_removed');

-- What stays on the coordinator is about records, not sites: progress, applied, dead_letter; and migration.
