"""SQLAlchemy with psycopg and with asyncpg: create_all, the ORM, reflection, drop_all of a part."""

import asyncio
import datetime
import decimal
import os
import uuid

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column, relationship, selectinload, joinedload

PLACE = f"{os.environ['PGUSER']}@127.0.0.1:{os.environ['PGPORT']}/{os.environ['PGDATABASE']}"


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(50), index=True)
    email: Mapped[str] = mapped_column(unique=True)
    token: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), default=uuid.uuid4)
    labels: Mapped[list] = mapped_column(ARRAY(sa.Text), default=list)
    extra: Mapped[dict] = mapped_column(JSONB, default=dict)
    mood: Mapped[str] = mapped_column(sa.Enum("calm", "cross", name="mood"), default="calm")
    born: Mapped[datetime.date | None]
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (sa.CheckConstraint("price >= 0", name="price_floor"), sa.UniqueConstraint("author_id", "title"))
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id", ondelete="CASCADE"))
    title: Mapped[str]
    price: Mapped[decimal.Decimal] = mapped_column(sa.Numeric(8, 2))
    printed: Mapped[datetime.datetime] = mapped_column(sa.DateTime(timezone=True), server_default=sa.func.now())
    author: Mapped[Author] = relationship(back_populates="books")


def orm(engine):
    with Session(engine) as session:
        ada = Author(name="Ada", email="ada@example.org", books=[Book(title="One", price=1), Book(title="Two", price=2)])
        session.add_all([ada, Author(name="Bob", email="bob@example.org"), Author(name="Cyd", email="cyd@example.org")])
        session.commit()
        ada.name = "Ada L."
        session.flush()
        session.scalars(sa.select(Author).where(Author.name.ilike("a%")).order_by(Author.id).limit(2).offset(0)).all()
        session.scalars(sa.select(Author).options(selectinload(Author.books))).all()
        session.scalars(sa.select(Book).options(joinedload(Book.author))).unique().all()
        session.execute(sa.select(Author.name, sa.func.count(Book.id)).outerjoin(Author.books).group_by(Author.name).having(sa.func.count(Book.id) >= 0)).all()
        other = aliased(Author)
        session.execute(sa.select(Author.email, other.email).join(other, other.id > Author.id)).all()
        cheap = sa.select(Book.author_id).where(Book.price < 5).cte("cheap")
        session.execute(sa.select(Author).join(cheap, cheap.c.author_id == Author.id)).all()
        session.execute(sa.select(sa.func.row_number().over(order_by=Book.price), Book.title)).all()
        session.execute(sa.union_all(sa.select(Author.name), sa.select(Book.title))).all()
        session.execute(sa.select(Author).where(Author.labels.contains(["a"]), Author.extra["k"].astext == "v")).all()
        session.execute(sa.select(sa.exists().where(Book.price > 100))).scalar()
        session.execute(sa.update(Book).where(Book.price < 2).values(price=Book.price + 1).returning(Book.id, Book.price)).all()
        session.execute(insert(Author).values(name="X", email="ada@example.org").on_conflict_do_update(index_elements=["email"], set_={"name": "Y"}).returning(Author.id))
        session.execute(sa.delete(Book).where(Book.price > 1000))
        session.get(Author, 2, with_for_update=True)
        with session.begin_nested():
            session.add(Author(name="Nested", email="n@example.org"))
        session.delete(session.get(Author, 3))
        session.execute(sa.text("SELECT name, email FROM author WHERE id = :id"), {"id": 1}).all()
        session.commit()


def reflect(engine):
    inspector = sa.inspect(engine)
    inspector.get_schema_names(), inspector.get_table_names(), inspector.get_view_names()
    for table in ("author", "book"):
        inspector.get_columns(table), inspector.get_indexes(table), inspector.get_foreign_keys(table)
        inspector.get_pk_constraint(table), inspector.get_unique_constraints(table), inspector.get_check_constraints(table)
        inspector.get_table_comment(table)
    inspector.get_enums(), inspector.has_table("author"), inspector.get_sequence_names()
    metadata = sa.MetaData()
    metadata.reflect(engine)


async def asynchronous():
    engine = create_async_engine(f"postgresql+asyncpg://{PLACE}")
    async with AsyncSession(engine) as session:
        (await session.scalars(sa.select(Author).where(Author.id.in_([1, 2])))).all()
        session.add(Author(name="Async", email="async@example.org", labels=["a"], extra={"k": "v"}))
        await session.commit()
        await session.execute(sa.select(Author.mood, Author.token))
        await session.rollback()
    await engine.dispose()


engine = sa.create_engine(f"postgresql+psycopg://{PLACE}")
Base.metadata.create_all(engine)
Base.metadata.create_all(engine)
orm(engine)
reflect(engine)
with engine.begin() as connection:
    connection.execute(sa.text("CREATE TABLE passing (id integer)"))
    connection.execute(sa.text("DROP TABLE passing"))
asyncio.run(asynchronous())
