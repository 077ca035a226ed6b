-- 0009_counter.sql: the counter is asked for by a host of the site, which may be a further one. The other rules are
-- none of the query service's business.
create view site_alias as select site_id, value from site_rule where kind = 'alias';
grant select on site_alias to footfall_query;
