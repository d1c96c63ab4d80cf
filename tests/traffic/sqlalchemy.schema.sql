CREATE TYPE public.mood AS ENUM (
    'calm',
    'cross'
);
CREATE TABLE public.author (
    id integer NOT NULL,
    name character varying(50) NOT NULL,
    email character varying NOT NULL,
    token uuid NOT NULL,
    labels text[] NOT NULL,
    extra jsonb NOT NULL,
    mood public.mood NOT NULL,
    born date
);
CREATE SEQUENCE public.author_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.author_id_seq OWNED BY public.author.id;
CREATE TABLE public.book (
    id integer NOT NULL,
    author_id integer NOT NULL,
    title character varying NOT NULL,
    price numeric(8,2) NOT NULL,
    printed timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT price_floor CHECK ((price >= (0)::numeric))
);
CREATE SEQUENCE public.book_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.book_id_seq OWNED BY public.book.id;
ALTER TABLE ONLY public.author ALTER COLUMN id SET DEFAULT nextval('public.author_id_seq'::regclass);
ALTER TABLE ONLY public.book ALTER COLUMN id SET DEFAULT nextval('public.book_id_seq'::regclass);
ALTER TABLE ONLY public.author
    ADD CONSTRAINT author_email_key UNIQUE (email);
ALTER TABLE ONLY public.author
    ADD CONSTRAINT author_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.book
    ADD CONSTRAINT book_author_id_title_key UNIQUE (author_id, title);
ALTER TABLE ONLY public.book
    ADD CONSTRAINT book_pkey PRIMARY KEY (id);
CREATE INDEX ix_author_name ON public.author USING btree (name);
ALTER TABLE ONLY public.book
    ADD CONSTRAINT book_author_id_fkey FOREIGN KEY (author_id) REFERENCES public.author(id) ON DELETE CASCADE;
