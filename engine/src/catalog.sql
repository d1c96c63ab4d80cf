select json_build_object('server_version_num', current_setting('server_version_num')::int, 'database', current_database(), 'relations', json_build_array())::text
