-- 0012_report.sql: what reports need to leave the visits of bots out.

-- What is not counted of visit_page and event is found by its visit. Where bots are few, so is this.
create index visit_bot on visit (site_id, build, start_ts) where bot;

-- Said of what a report may name, or the planner keeps all of the report to one process.
alter function local_midnight parallel safe;
alter function visit_running parallel safe;
