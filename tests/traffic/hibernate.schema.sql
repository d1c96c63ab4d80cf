CREATE SEQUENCE public.hibernate_sequence
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.loan (
    id bigint NOT NULL,
    fine numeric(19,2),
    title character varying(255),
    member_id bigint NOT NULL
);
CREATE SEQUENCE public.loan_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.loan_id_seq OWNED BY public.loan.id;
CREATE TABLE public.member (
    id bigint NOT NULL,
    email character varying(255),
    joined timestamp without time zone,
    name character varying(255) NOT NULL,
    secret character varying(255),
    version integer NOT NULL
);
ALTER TABLE ONLY public.loan ALTER COLUMN id SET DEFAULT nextval('public.loan_id_seq'::regclass);
ALTER TABLE ONLY public.loan
    ADD CONSTRAINT loan_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.member
    ADD CONSTRAINT member_email_key UNIQUE (email);
ALTER TABLE ONLY public.member
    ADD CONSTRAINT member_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.loan
    ADD CONSTRAINT fk32c4f04833804c FOREIGN KEY (member_id) REFERENCES public.member(id);
