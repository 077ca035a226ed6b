-- 0007_rebuild.sql: counting a site anew, in another zone or after a change of the rules, while events come
-- in. A rebuild counts under a number of its own: reports go on reading the build in use until it is whole,
-- and what is applied meanwhile is counted for both. Whoever rebuilds (footfall rebuild) goes like this:
--
--   hold the site's lock; rebuild_begin(); take a snapshot; let go of the lock
--   for each part of the events that the snapshot shows: hold the lock, rebuild_part()
--   hold the lock; rebuild_finish(); then rebuild_sweep() until nothing is left
--
-- Whatever is applied before the lock is let go of is in the snapshot, and whatever comes later is counted
-- for the new build, too. As counting needs no order, the parts and the new events may come in any.

-- Events from before this are gone by retention. Site 0: those of every site.
create table forgotten (
    site_id integer     not null,
    before  timestamptz not null,
    constraint forgotten_pk primary key (site_id)
);

-- Begin a rebuild of a site with this zone; answers the build's number. One that was under way is given up.
create function rebuild_begin(p_site integer, p_zone text) returns integer
language plpgsql as $$
declare
    number integer;
begin
    perform now() at time zone p_zone; -- refused here when there is no such zone
    insert into site (site_id, build, zone) values (p_site, 0, p_zone) on conflict do nothing;
    update site set next_build = greatest(build, coalesce(next_build, 0)) + 1, next_zone = p_zone
    where site_id = p_site
    returning next_build into number;
    return number;
end
$$;

-- The lock, and the zone of a build that is still wanted.
create function rebuild_zone(p_site integer, p_build integer) returns text
language plpgsql as $$
declare
    zone text;
begin
    perform pg_advisory_xact_lock(1, p_site);
    select next_zone into zone from site where site_id = p_site and next_build = p_build;
    if zone is null then
        raise exception 'site % is being rebuilt by somebody else', p_site;
    end if;
    return zone;
end
$$;

-- Put a build to use. Days that have lost events by retention are carried over as they were, and so are the
-- months they belong to. Where whole months were dropped, the first day after them is such a day: a visit that lay
-- across has lost its first half, was counted with the day before, and would be one more with the rest.
create function rebuild_finish(p_site integer, p_build integer) returns void
language plpgsql as $$
declare
    new_zone text := rebuild_zone(p_site, p_build);
    old_build integer;
    horizon timestamptz;
    first_whole date;
begin
    select build into old_build from site where site_id = p_site;
    select max(before) into horizon from forgotten where site_id in (0, p_site);
    if horizon is not null then
        first_whole := (horizon at time zone new_zone)::date;
        if local_midnight(new_zone, first_whole) < horizon
           or horizon = (select before from forgotten where site_id = 0) then
            first_whole := first_whole + 1;
        end if;
        delete from rollup_day where site_id = p_site and build = p_build and day < first_whole;
        delete from rollup_month where site_id = p_site and build = p_build and month < first_whole;
        insert into rollup_day
        select site_id, p_build, day, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms,
               entries, exits, engaged_ms, scroll_sum, scroll_visits
        from rollup_day where site_id = p_site and build = old_build and day < first_whole;
        insert into rollup_month
        select site_id, p_build, month, dimension, value, visitors, visits, pageviews, events, bounces, duration_ms,
               entries, exits, engaged_ms, scroll_sum, scroll_visits
        from rollup_month where site_id = p_site and build = old_build and month < first_whole;
    end if;
    update site set build = p_build, zone = new_zone, next_build = null, next_zone = null where site_id = p_site;
end
$$;

-- Delete at most p_most rows of builds that are no longer used; answers how many there were.
create function rebuild_sweep(p_site integer, p_most integer) returns integer
language plpgsql as $$
declare
    used integer[];
    gone integer;
begin
    perform pg_advisory_xact_lock(1, p_site);
    select array[build, coalesce(next_build, build)] into used from site where site_id = p_site;
    delete from visit where site_id = p_site and ctid in (
        select ctid from visit where site_id = p_site and build <> all (used) limit p_most);
    get diagnostics gone = row_count;
    if gone < p_most then
        delete from visit_page where site_id = p_site and ctid in (
            select ctid from visit_page where site_id = p_site and build <> all (used) limit p_most);
        get diagnostics gone = row_count;
    end if;
    if gone < p_most then
        delete from rollup_day where site_id = p_site and ctid in (
            select ctid from rollup_day where site_id = p_site and build <> all (used) limit p_most);
        get diagnostics gone = row_count;
    end if;
    if gone < p_most then
        delete from rollup_month where site_id = p_site and ctid in (
            select ctid from rollup_month where site_id = p_site and build <> all (used) limit p_most);
        get diagnostics gone = row_count;
    end if;
    return gone;
end
$$;
revoke execute on all functions in schema public from public;
grant select on forgotten to footfall_worker, footfall_query;
