-- The roles, one per service, made by the superuser of the cluster before the first migration.
-- Passwords and LOGIN are set by whoever starts the cluster; rights are granted by the migrations
-- of each database, which run as footfall_owner. Safe to run again.
do $$
declare
    name text;
begin
    foreach name in array array['footfall_owner', 'footfall_ingress', 'footfall_worker',
                                'footfall_query', 'footfall_console']
    loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin nosuperuser nocreatedb nocreaterole', name);
        end if;
    end loop;
end
$$;
