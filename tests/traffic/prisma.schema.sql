CREATE TABLE public."Post" (
    id integer NOT NULL,
    title text NOT NULL,
    published boolean DEFAULT false NOT NULL,
    "authorId" integer NOT NULL
);
CREATE SEQUENCE public."Post_id_seq"
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public."Post_id_seq" OWNED BY public."Post".id;
CREATE TABLE public."Tag" (
    name text NOT NULL
);
CREATE TABLE public."User" (
    id integer NOT NULL,
    email text NOT NULL,
    name text,
    secret text DEFAULT 's'::text NOT NULL,
    joined timestamp(3) without time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    profile jsonb
);
CREATE SEQUENCE public."User_id_seq"
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public."User_id_seq" OWNED BY public."User".id;
CREATE TABLE public."_PostToTag" (
    "A" integer NOT NULL,
    "B" text NOT NULL
);
ALTER TABLE ONLY public."Post" ALTER COLUMN id SET DEFAULT nextval('public."Post_id_seq"'::regclass);
ALTER TABLE ONLY public."User" ALTER COLUMN id SET DEFAULT nextval('public."User_id_seq"'::regclass);
ALTER TABLE ONLY public."Post"
    ADD CONSTRAINT "Post_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY public."Tag"
    ADD CONSTRAINT "Tag_pkey" PRIMARY KEY (name);
ALTER TABLE ONLY public."User"
    ADD CONSTRAINT "User_pkey" PRIMARY KEY (id);
ALTER TABLE ONLY public."_PostToTag"
    ADD CONSTRAINT "_PostToTag_pkey" PRIMARY KEY ("A", "B");
CREATE UNIQUE INDEX "User_email_key" ON public."User" USING btree (email);
CREATE INDEX "_PostToTag_B_index" ON public."_PostToTag" USING btree ("B");
ALTER TABLE ONLY public."Post"
    ADD CONSTRAINT "Post_authorId_fkey" FOREIGN KEY ("authorId") REFERENCES public."User"(id) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY public."_PostToTag"
    ADD CONSTRAINT "_PostToTag_A_fkey" FOREIGN KEY ("A") REFERENCES public."Post"(id) ON DELETE CASCADE;
ALTER TABLE ONLY public."_PostToTag"
    ADD CONSTRAINT "_PostToTag_B_fkey" FOREIGN KEY ("B") REFERENCES public."Tag"(name) ON DELETE CASCADE;
