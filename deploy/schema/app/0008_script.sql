-- 0008_script.sql: which parts the script on a site's pages has (services/tracker/README.md says what each does), and
-- whether anyone may read the site's counts of visits.
alter table site
    add column script text[] not null default array['exit', 'outbound', 'downloads', 'forms', 'tagged', '404', 'metadata']
        check (script <@ array['exit', 'outbound', 'downloads', 'forms', 'tagged', '404', 'metadata', 'hash']),
    add column counter boolean not null default false; -- GET /counter/… answers about it

-- The parts that a person lists, with commas or blanks between; or "default", "all", "none". In one order, each once.
create function site_script_value(p_script text) returns text[]
language plpgsql immutable strict as $$
declare
    every constant text[] := array['exit', 'outbound', 'downloads', 'forms', 'tagged', '404', 'metadata', 'hash'];
    asked text[] := regexp_split_to_array(lower(trim(p_script, E' ,\t\n')), '[\s,]+');
    wrong text;
begin
    case asked
    when array['default'] then return array_remove(every, 'hash');
    when array['all'] then return every;
    when array['none'], array[''] then return array[]::text[];
    else null;
    end case;
    select left(part, 100) into wrong from unnest(asked) part where part <> all (every) limit 1;
    if found then
        raise exception '"%" is no part of the script: give some of %, or default, all, none', wrong,
            array_to_string(every, ', ');
    end if;
    return array(select part from unnest(every) with ordinality e (part, n) where part = any (asked) order by n);
end
$$;

-- Change a site, named by its property id or domain; null: as it is.
drop function site_set(text, text, text, text, boolean, boolean);
create function site_set(p_name text, p_zone text default null, p_identity text default null, p_bots text default null,
                         p_origin_required boolean default null, p_honour_dnt boolean default null,
                         p_script text default null, p_counter boolean default null)
returns site language plpgsql as $$
declare
    made site;
begin
    if p_zone is not null and not exists (select from pg_timezone_names where name = p_zone) then
        raise exception '"%" is not a time zone: give it as in "Europe/Berlin"', left(p_zone, 100);
    end if;
    if p_identity not in ('daily', 'persistent') then
        raise exception 'identity is "daily" or "persistent"';
    end if;
    if p_bots not in ('mark', 'refuse') then
        raise exception 'bots is "mark" or "refuse"';
    end if;
    update site set zone = coalesce(p_zone, zone), identity = coalesce(p_identity, identity),
        bots = coalesce(p_bots, bots), origin_required = coalesce(p_origin_required, origin_required),
        honour_dnt = coalesce(p_honour_dnt, honour_dnt),
        script = coalesce(site_script_value(p_script), script), counter = coalesce(p_counter, counter)
    where property_id::text = lower(p_name) or domain = regexp_replace(lower(p_name), '^www\.', '')
    returning * into made;
    if made.id is null then
        raise exception 'there is no site "%"', left(p_name, 100);
    end if;
    return made;
end
$$;
grant execute on function site_script_value, site_set to footfall_console;
