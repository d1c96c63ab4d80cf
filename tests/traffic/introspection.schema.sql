CREATE TYPE public.colour AS ENUM (
    'red',
    'green'
);
CREATE DOMAIN public.small AS integer
	CONSTRAINT small_check CHECK ((VALUE < 10));
CREATE FUNCTION public.twice(integer) RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $_$SELECT $1 * 2$_$;
CREATE TABLE public.log (
    day date,
    words text
)
PARTITION BY RANGE (day);
CREATE TABLE public.log_2026 (
    day date,
    words text
);
CREATE TABLE public.part (
    id integer NOT NULL,
    thing_id integer
);
ALTER TABLE public.part ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.part_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.thing (
    id integer NOT NULL,
    name text NOT NULL,
    secret text,
    weight numeric,
    twice numeric GENERATED ALWAYS AS ((weight * (2)::numeric)) STORED,
    CONSTRAINT thing_weight_check CHECK ((weight > (0)::numeric))
);
CREATE MATERIALIZED VIEW public.thing_copy AS
 SELECT thing.id
   FROM public.thing
  WITH NO DATA;
CREATE SEQUENCE public.thing_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.thing_id_seq OWNED BY public.thing.id;
CREATE VIEW public.thing_names AS
 SELECT thing.id,
    thing.name
   FROM public.thing;
ALTER TABLE ONLY public.log ATTACH PARTITION public.log_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE ONLY public.thing ALTER COLUMN id SET DEFAULT nextval('public.thing_id_seq'::regclass);
ALTER TABLE ONLY public.part
    ADD CONSTRAINT part_id_excl EXCLUDE USING btree (id WITH =);
ALTER TABLE ONLY public.thing
    ADD CONSTRAINT thing_name_key UNIQUE (name);
ALTER TABLE ONLY public.thing
    ADD CONSTRAINT thing_pkey PRIMARY KEY (id);
CREATE STATISTICS public.thing_stats ON name, secret FROM public.thing;
ALTER TABLE ONLY public.part
    ADD CONSTRAINT part_thing_id_fkey FOREIGN KEY (thing_id) REFERENCES public.thing(id);
CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert, update, delete, truncate');
