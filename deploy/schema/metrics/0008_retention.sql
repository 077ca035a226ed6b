-- 0008_retention.sql: what is made ahead, what goes by age, what goes with a site, and what all of it takes on
-- disk. The console does the first three by itself (services/console/keep.c), a step a call: each step is short,
-- so that whoever waits for a site's lock waits for milliseconds, and what was interrupted goes on later.
--
-- Retention is of events, visits and their pages. Rollups stay, so that reports by day keep their numbers.

create function partitions_ahead() returns void
language sql security definer set search_path = public, pg_temp as $$
    select event_partition((date_trunc('month', now() at time zone 'UTC') + make_interval(months => n)) at time zone 'UTC')
    from generate_series(0, 2) n
$$;
select partitions_ahead();

-- What was deleted once is not taken again, also when a limit was raised since: without their events, repeats
-- could not be told from news.
create or replace function retention_begin(p_site integer) returns timestamptz
language sql stable as $$
    select greatest(
        (select max(before) from forgotten where site_id in (0, p_site)),
        (select now() - days * interval '1 day' from retention
         where site_id in (0, p_site) order by site_id = 0 limit 1),
        '-infinity')
$$;

-- --- limits ---------------------------------------------------------------------------------------------

-- Up to where events, visits and their pages were tidied; forgotten says up to where that is due. To look for
-- strings takes long, so they are tidied only when the limit has moved by 30 days since, and at first.
create table retention_done (
    site_id        integer     not null,
    before         timestamptz not null,
    strings_before timestamptz not null,
    constraint retention_done_pk primary key (site_id)
);

-- The transactions that have a lock on a table, but for ours.
create function retention_readers(p_part text) returns text[]
language sql volatile as $$
    select coalesce(array_agg(virtualtransaction), '{}') from pg_locks
    where database = (select oid from pg_database where datname = current_database())
      and relation = p_part::regclass and granted and pid is distinct from pg_backend_pid()
$$;

-- Drop the oldest month beyond the present one and p_months before it. Answers its table, null when there is none,
-- and whether it was dropped: not while somebody reads it for long, as a dump does. Who writes would queue up behind
-- us, so nothing is asked for as long as a transaction has it that had it a second ago, and given up soon otherwise.
create function retention_drop(p_months integer, out part text, out dropped boolean)
language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '300ms' as $$
declare
    begins timestamptz := (date_trunc('month', now() at time zone 'UTC') - make_interval(months => p_months)) at time zone 'UTC';
    readers text[];
begin
    select c.relname into part
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'event'::regclass and c.relname ~ '^event_\d{4}_\d{2}$'
      and to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC' < begins
    order by 1 limit 1;
    dropped := false;
    if part is not null then
        readers := retention_readers(part);
        if cardinality(readers) > 0 then
            perform pg_sleep(1);
            if readers && retention_readers(part) then
                return;
            end if;
        end if;
    end if;
    insert into forgotten as f values (0, begins)
    on conflict (site_id) do update set before = excluded.before where f.before < excluded.before;
    if part is not null then
        execute format('drop table %I', part);
        dropped := true;
    end if;
exception when lock_not_available then
    dropped := false;
end
$$;

-- Write down what the sites' own limits say today: whole days of the site. From then on nothing older is taken.
create function retention_note() returns void
language sql security definer set search_path = public, pg_temp as $$
    insert into forgotten as f
    select s.site_id, local_midnight(s.zone, (now() at time zone s.zone)::date - r.days)
    from site s cross join lateral (
        select days from retention where site_id in (0, s.site_id) order by site_id = 0 limit 1) r
    on conflict (site_id) do update set before = excluded.before where f.before < excluded.before
$$;

-- The sites with something to delete, up to which time that is, and whether strings are due, too.
create function retention_due() returns table (site_id integer, before timestamptz, strings boolean)
language sql stable security definer set search_path = public, pg_temp as $$
    select s.site_id, f.before, f.before >= coalesce(d.strings_before + interval '30 days', '-infinity')
    from site s
    cross join lateral (select max(before) as before from forgotten where forgotten.site_id in (0, s.site_id)) f
    left join retention_done d using (site_id)
    where f.before > coalesce(d.before, '-infinity')
    order by s.site_id
$$;

create function retention_finish(p_site integer, p_before timestamptz, p_strings boolean) returns void
language sql security definer set search_path = public, pg_temp as $$
    insert into retention_done as d
    select p_site, p_before, p_before where exists (select from site where site_id = p_site)
    on conflict (site_id) do update set before = excluded.before,
        strings_before = case when p_strings then excluded.before else d.strings_before end
$$;

-- From where on rows are kept, by the kind of visitor. A daily visitor's end with the day. A persistent one
-- counts once a month, so its rows are kept while the month of the limit lasts.
create function retention_horizon(p_site integer, out daily timestamptz, out persistent timestamptz)
language sql stable as $$
    select local_midnight(zone, (before at time zone zone)::date),
           local_midnight(zone, date_trunc('month', before at time zone zone)::date)
    from site, (select max(before) as before from forgotten where site_id in (0, p_site)) f
    where site.site_id = p_site
$$;

-- The tables to go through with retention_part(), in this order.
create function retention_parts(p_site integer) returns setof text
language sql stable security definer set search_path = public, pg_temp as $$
    select part from (
        select 1 as place, c.relname::text as part
        from pg_inherits i join pg_class c on c.oid = i.inhrelid, retention_horizon(p_site) h
        where i.inhparent = 'event'::regclass and c.relname ~ '^event_\d{4}_\d{2}$'
          and to_date(right(c.relname, 7), 'YYYY_MM')::timestamp at time zone 'UTC' < h.daily
        union all values (2, 'visit'), (3, 'visit_page')) parts
    order by place, part
$$;

-- Go through the next p_most rows of a site in one of them, behind the key p_after (null: from the beginning),
-- and delete those that are too old; answers the last one's key, null at the end.
--
-- A visit that reaches into what is kept, or to which a late event could be joined, is kept whole, with its
-- events: so counting goes on as if nothing were missing, and a rebuild finds it as it was. Only a persistent
-- visitor's visit can: a daily one's ends at the midnight at which the limit lies.
create function retention_part(p_site integer, p_part text, p_after text[], p_most integer) returns text[]
language plpgsql security definer set search_path = public, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    keys text[] := case p_part when 'visit' then '{build,visitor,start_ts}'
                               when 'visit_page' then '{build,visitor,page,start_ts,day}'
                               else '{visitor,id,ts}' end;
    old text := case p_part
        when 'visit' then 'end_ts < case when visitor & 1 = 1 then $4 - interval ''30 minutes'' else $3 end'
        when 'visit_page' then 'start_ts < $3 and not exists (
            select from visit v where v.site_id = $1 and v.build = part.build and v.visitor = part.visitor
            and v.start_ts = part.start_ts)'
        else 'ts < case when visitor & 1 = 1 then $4 else $3 end
            and not (visitor & 1 = 1 and exists (
                select from site s join visit v on v.site_id = s.site_id and v.build = s.build
                where s.site_id = $1 and v.visitor = part.visitor and v.start_ts <= part.ts and v.end_ts >= part.ts
                and v.end_ts >= $4 - interval ''30 minutes''))' end;
    horizon record;
    last text[];
begin
    if p_part not in (select retention_parts(p_site)) then
        return null; -- dropped since
    end if;
    perform pg_advisory_xact_lock(1, p_site);
    select * into horizon from retention_horizon(p_site);
    execute format(
        'with part as materialized (
             select ctid as place, * from %1$I where site_id = $1 %2$s order by site_id, %3$s limit $2
         ), gone as (
             delete from %1$I where site_id = $1 and ctid = any (array(select place from part where %4$s))
         )
         select array[%5$s] from part order by %6$s limit 1',
        p_part,
        (select format('and (%s) > (%s)', array_to_string(keys, ', '), string_agg(quote_literal(k), ', '))
         from unnest(p_after) k having count(*) > 0),
        array_to_string(keys, ', '), old,
        (select string_agg(k || '::text', ', ') from unnest(keys) k),
        (select string_agg(k || ' desc', ', ') from unnest(keys) k))
    into last using p_site, p_most, horizon.daily, horizon.persistent;
    return last;
end
$$;

-- --- strings --------------------------------------------------------------------------------------------

-- Strings that no row used when somebody looked. To look for them takes long, and meanwhile a new row may use
-- one; so they are first taken out of `string`, each with its value, and then looked for once more. Whoever
-- stores a row that uses one from then on puts the string in again, as with every new string; and one that a row
-- came to use in between is put back.
create table string_doubt (
    site_id integer not null,
    id      bigint  not null,
    value   text,                                    -- null: still in `string`
    constraint string_doubt_pk primary key (site_id, id)
);

-- The ids in every column that holds a string's, of each table once.
create function string_uses(p_site integer) returns table (id bigint)
language sql stable as $$
    select distinct unnest(array[name, host, page, title, referrer, source, country, browser, browser_version, os, os_version,
                        device, language]) from event where site_id = p_site
    union all
    select distinct unnest(array[entry, exit, host, referrer, source, country, browser, browser_version, os, os_version, device,
                        language]) from visit where site_id = p_site
    union all
    select distinct page from visit_page where site_id = p_site
    union all
    select distinct value from rollup_day where site_id = p_site and dimension <> 0
    union all
    select distinct value from rollup_month where site_id = p_site and dimension <> 0
$$;

-- In this order: strings_doubt(), strings_take() until 0, strings_restore(), strings_drop() until 0. The first
-- and the third look at all rows of the site, and lock nothing.
create function strings_doubt(p_site integer) returns void
language sql security definer set search_path = public, pg_temp as $$
    insert into string_doubt
    select p_site, id from (
        select id from string where site_id = p_site except select id from string_uses(p_site)) unused
    on conflict do nothing
$$;

create function strings_take(p_site integer, p_most integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    ids bigint[];
begin
    perform pg_advisory_xact_lock(1, p_site);
    ids := array(select id from string_doubt where site_id = p_site and value is null limit p_most);
    update string_doubt d set value = s.value
    from string s where d.site_id = p_site and d.id = any (ids) and s.site_id = p_site and s.id = d.id;
    delete from string_doubt where site_id = p_site and id = any (ids) and value is null;
    delete from string where site_id = p_site and id = any (ids);
    return cardinality(ids);
end
$$;

create function strings_restore(p_site integer) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    ids bigint[] := array(
        select id from string_doubt where site_id = p_site intersect select id from string_uses(p_site));
begin
    insert into string
    select site_id, id, value from string_doubt where site_id = p_site and id = any (ids) and value is not null
    on conflict do nothing;
    delete from string_doubt where site_id = p_site and id = any (ids);
end
$$;

create function strings_drop(p_site integer, p_most integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
    gone integer;
begin
    delete from string_doubt where site_id = p_site and ctid = any (array(
        select ctid from string_doubt where site_id = p_site and value is not null limit p_most));
    get diagnostics gone = row_count;
    return gone;
end
$$;

-- --- a site that was removed ----------------------------------------------------------------------------

-- Its number stays, and nothing else of it: journals, archives and dumps may hold events of it for long, and none of
-- them may bring it back. Numbers are never given twice.
create table site_removed (
    id         integer not null,
    done       boolean not null default false,
    unreadable bigint  not null default 0,           -- of what was set aside, went with it unread
    constraint site_removed_pk primary key (id)
);

-- Every way into the tables begins with the site's row. A worker that does not know yet is told to try again
-- (class 55), and by then it does. By this code of our own it knows why, and has the console look.
create function site_refuse_removed() returns trigger
language plpgsql as $$
begin
    if exists (select from site_removed where id = new.site_id) then
        raise exception 'site % was removed', new.site_id using errcode = '55F01';
    end if;
    return new;
end
$$;
create trigger site_refuse_removed before insert on site for each row execute function site_refuse_removed();

-- The site of an event as it was sent (proto/event.md): a list of 23, whose second member it is. Null: it cannot
-- be told.
create function dead_letter_site(p_bytes bytea) returns integer
language sql immutable as $$
    select case when length(p_bytes) < 9 or get_byte(p_bytes, 0) <> 220 then null
                when get_byte(p_bytes, 4) < 128 then get_byte(p_bytes, 4)
                when get_byte(p_bytes, 4) = 204 then get_byte(p_bytes, 5)
                when get_byte(p_bytes, 4) = 205 then get_byte(p_bytes, 5) << 8 | get_byte(p_bytes, 6)
                when get_byte(p_bytes, 4) = 206 then get_byte(p_bytes, 5) << 24 | get_byte(p_bytes, 6) << 16
                                                     | get_byte(p_bytes, 7) << 8 | get_byte(p_bytes, 8) end
$$;

-- Delete at most p_most rows of a site that was removed, from one table; answers how many, 0: nothing is left.
-- It goes through every table with a site_id, also such as are made later. Of what was set aside goes, too, what
-- cannot be read and came in the site's lane: it may be the site's, whose privacy weighs more than what others could
-- still mend. How many those were is kept.
create function removal_step(p_site integer, p_most integer) returns integer
language plpgsql security definer set search_path = public, pg_temp
set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    part text;
    gone integer;
begin
    perform pg_advisory_xact_lock(1, p_site);
    insert into site_removed values (p_site) on conflict do nothing;
    for part in
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attname = 'site_id' and not a.attisdropped
        order by 1
    loop
        execute format('delete from %1$I where site_id = $1 and ctid = any (array(select ctid from %1$I where site_id = $1 limit $2))', part)
        using p_site, p_most;
        get diagnostics gone = row_count;
        if gone > 0 then
            return gone;
        end if;
    end loop;
    with gone as (
        delete from dead_letter where lane = p_site % 16 and coalesce(dead_letter_site(bytes), p_site) = p_site
        returning dead_letter_site(bytes) is null as unreadable
    )
    update site_removed
    set done = true, unreadable = unreadable + (select count(*) from gone where gone.unreadable)
    where id = p_site;
    return 0;
end
$$;

-- Of these sites, which the app database says were removed, those that are not wholly gone here.
create function removal_due(p_sites integer[]) returns setof integer
language sql stable security definer set search_path = public, pg_temp as $$
    select id from unnest(p_sites) id where not exists (select from site_removed r where r.id = id.id and r.done)
$$;
create function removal_known() returns integer[]
language sql stable security definer set search_path = public, pg_temp as $$
    select coalesce(array_agg(id), '{}') from site_removed
$$;
-- The app database has these again: it was restored from before their removal.
create function removal_undo(p_sites integer[]) returns void
language sql security definer set search_path = public, pg_temp as $$
    delete from site_removed where id = any (p_sites)
$$;

-- --- sizes ----------------------------------------------------------------------------------------------

-- What each table takes, its partitions together, and of that each of its indexes.
create function table_sizes() returns table ("table" text, bytes bigint, table_bytes bigint, indexes json)
language sql stable as $$
    with leaf as (
        select c.oid, coalesce(p.relname, c.relname)::text as name
        from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
    ), index as (
        select leaf.name, coalesce(p.relname, c.relname)::text as index, sum(pg_total_relation_size(c.oid))::bigint as bytes
        from leaf join pg_index x on x.indrelid = leaf.oid join pg_class c on c.oid = x.indexrelid
        left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
        group by 1, 2
    )
    select name, sum(pg_total_relation_size(oid))::bigint as total, sum(pg_table_size(oid))::bigint,
           coalesce((select json_object_agg(index, index.bytes order by index) from index where index.name = leaf.name), '{}')
    from leaf group by name order by total desc, name
$$;

-- What each site has in each table, indexes included: a table's bytes are shared out by the bytes of the sites'
-- rows. Of a table of more than 8 MiB only a sample of its blocks is read.
create function site_shares() returns table (site_id integer, part text, row_count bigint, bytes bigint, exact boolean)
language plpgsql stable as $$
declare
    most  constant integer := 1000;                  -- blocks that are read of one table
    leaf  record;
begin
    for leaf in
        select c.oid::regclass::text as name, coalesce(p.relname, c.relname)::text as whole,
               pg_total_relation_size(c.oid) as total,
               greatest(pg_relation_size(c.oid) / current_setting('block_size')::numeric / most, 1) as times
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'site_id' and not a.attisdropped
        left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and pg_relation_size(c.oid) > 0
    loop
        return query execute format(
            'select site_id, $1, (n * $3)::bigint, ($2 * width / sum(width) over ())::bigint, $3 = 1
             from (select site_id, count(*) as n, sum(pg_column_size(t.*)) as width from %s t %s group by site_id) s',
            leaf.name, case when leaf.times > 1 then format('tablesample system (%s)', 100 / leaf.times) end)
        using leaf.whole, leaf.total, leaf.times;
    end loop;
end
$$;

-- The same by site, with the first and the last day of its reports. Once any table was sampled no site's sums are
-- exact: a site may have rows where none was seen.
create function site_sizes() returns table (site_id integer, events bigint, bytes bigint, exact boolean, first date,
                                            last date, tables json)
language sql stable as $$
    select s.site_id, coalesce(sum(s.rows) filter (where s.part = 'event'), 0)::bigint, sum(s.bytes)::bigint,
           bool_and(bool_and(s.exact)) over (),
           (select min(day) from rollup_day d where d.site_id = s.site_id and d.build = site.build and d.dimension = 0),
           (select max(day) from rollup_day d where d.site_id = s.site_id and d.build = site.build and d.dimension = 0),
           json_object_agg(s.part, json_build_object('rows', s.rows, 'bytes', s.bytes, 'exact', s.exact) order by s.part)
    from (select h.site_id, h.part, sum(h.row_count)::bigint as rows, sum(h.bytes)::bigint as bytes, bool_and(h.exact) as exact
          from site_shares() h group by h.site_id, h.part) s
    left join site on site.site_id = s.site_id
    group by s.site_id, site.build
$$;

revoke execute on all functions in schema public from public;
grant select on site_removed to footfall_worker;
grant usage on schema public to footfall_console;
grant execute on function partitions_ahead, retention_drop, retention_note, retention_due, retention_parts,
    retention_part, retention_finish, strings_doubt, strings_take, strings_restore, strings_drop, removal_step,
    removal_due, removal_known, removal_undo to footfall_console;
