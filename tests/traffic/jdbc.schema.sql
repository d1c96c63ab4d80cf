CREATE TABLE public.item (
    id integer NOT NULL,
    name text NOT NULL,
    price numeric(10,2),
    secret text
);
CREATE SEQUENCE public.item_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.item_id_seq OWNED BY public.item.id;
CREATE VIEW public.item_names AS
 SELECT item.id,
    item.name
   FROM public.item;
CREATE TABLE public.sale (
    id bigint NOT NULL,
    item_id integer NOT NULL,
    sold timestamp with time zone DEFAULT now()
);
CREATE SEQUENCE public.sale_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.sale_id_seq OWNED BY public.sale.id;
ALTER TABLE ONLY public.item ALTER COLUMN id SET DEFAULT nextval('public.item_id_seq'::regclass);
ALTER TABLE ONLY public.sale ALTER COLUMN id SET DEFAULT nextval('public.sale_id_seq'::regclass);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_name_key UNIQUE (name);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.sale
    ADD CONSTRAINT sale_pkey PRIMARY KEY (id);
CREATE INDEX sale_sold ON public.sale USING btree (sold);
ALTER TABLE ONLY public.sale
    ADD CONSTRAINT sale_item_id_fkey FOREIGN KEY (item_id) REFERENCES public.item(id);
