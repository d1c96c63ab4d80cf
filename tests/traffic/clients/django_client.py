"""Django: migrations of its own applications and of one of ours, the ORM, the admin's pages, introspection."""

import datetime
import decimal
import os
import sys
import types

import django
from django.conf import settings

# Our own application is this file.
shop = types.ModuleType("shop")
shop.__path__ = [os.path.dirname(os.path.abspath(__file__))]
sys.modules["shop"] = shop

settings.configure(
    SECRET_KEY="for tests",
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.postgres",
        "shop",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": os.environ["PGPORT"],
            "NAME": os.environ["PGDATABASE"],
            "USER": os.environ["PGUSER"],
            "PASSWORD": "none",
        }
    },
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg
from django.contrib.postgres.fields import ArrayField
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Coalesce, Concat, Lower, Rank, TruncMonth, Upper
from django.test import Client
from django.urls import path


class Customer(models.Model):
    name = models.CharField(max_length=100, db_index=True)
    email = models.EmailField(unique=True)
    ssn = models.CharField(max_length=20)
    balance = models.DecimalField(max_digits=10, decimal_places=2, default=0)
    tags = ArrayField(models.CharField(max_length=20), default=list)
    profile = models.JSONField(default=dict)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "shop"
        ordering = ["name"]
        indexes = [models.Index(Lower("email"), name="customer_lower_email")]
        constraints = [models.CheckConstraint(condition=Q(balance__gte=-1000), name="balance_floor")]

    def __str__(self):
        return self.name


class Product(models.Model):
    title = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)

    class Meta:
        app_label = "shop"


class Order(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    products = models.ManyToManyField(Product, through="Line")
    placed = models.DateField()
    note = models.TextField(null=True, blank=True)

    class Meta:
        app_label = "shop"


class Line(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)

    class Meta:
        app_label = "shop"
        unique_together = [("order", "product")]


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "balance"]
    list_filter = ["created"]
    search_fields = ["name", "email"]
    date_hierarchy = "created"


admin.site.register(Order)
urlpatterns = [path("admin/", admin.site.urls)]


def migrate():
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (Customer, Product, Order, Line):
            editor.create_model(model)
        field = models.IntegerField(default=0)
        field.set_attributes_from_name("points")
        editor.add_field(Customer, field)
        renamed = models.IntegerField(default=0, null=True)
        renamed.set_attributes_from_name("score")
        editor.alter_field(Customer, field, renamed)
        editor.remove_field(Customer, renamed)
    call_command("showmigrations", verbosity=0, stdout=open(os.devnull, "w"))
    call_command("sqlmigrate", "auth", "0001", stdout=open(os.devnull, "w"))


def write():
    ada = Customer.objects.create(name="Ada", email="ada@example.org", ssn="901", tags=["a", "b"], profile={"k": 1})
    Customer.objects.bulk_create([Customer(name=f"C{n}", email=f"c{n}@example.org", ssn=str(n)) for n in range(5)])
    products = Product.objects.bulk_create([Product(title=f"P{n}", price=decimal.Decimal(n)) for n in range(1, 4)])
    Customer.objects.bulk_create(
        [Customer(id=ada.id, name="Ada", email="ada@example.org", ssn="901")],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["name"],
    )
    for customer in Customer.objects.all()[:3]:
        order = Order.objects.create(customer=customer, placed=datetime.date(2026, 1, 2))
        Line.objects.create(order=order, product=products[0], quantity=2)
        order.products.add(products[1], through_defaults={"quantity": 3})
    ada.balance = F("balance") + 10
    ada.save(update_fields=["balance"])
    ada.refresh_from_db()
    ada.name = "Ada L."
    ada.save()
    Customer.objects.filter(name__startswith="C").update(balance=F("balance") * 2 + 1)
    Customer.objects.get_or_create(email="new@example.org", defaults={"name": "New", "ssn": "9"})
    Customer.objects.update_or_create(email="new@example.org", defaults={"name": "Newer"})
    Customer.objects.bulk_update(list(Customer.objects.all()[:2]), ["balance", "name"])
    with transaction.atomic():
        Customer.objects.select_for_update(skip_locked=True).filter(id=ada.id).first()
        with transaction.atomic():
            Order.objects.filter(note__isnull=True).update(note="x")
    Order.objects.last().delete()
    Line.objects.filter(quantity__gt=100).delete()
    Customer.objects.get(email="new@example.org").delete()


def read():
    list(Customer.objects.filter(Q(name__icontains="a") | Q(email__iexact="X@example.org")).exclude(balance__lt=0))
    list(Customer.objects.filter(orders__products__title="P1").distinct().only("name"))
    list(Customer.objects.values("name", "email").order_by("-balance")[2:4])
    list(Customer.objects.values_list("ssn", flat=True))
    list(Customer.objects.annotate(n=Count("orders"), m=Max("orders__placed")).filter(n__gt=0))
    list(Customer.objects.annotate(full=Concat("name", Value(" <"), "email", Value(">"), output_field=models.TextField()), up=Upper("name")))
    list(Customer.objects.filter(Exists(Order.objects.filter(customer=OuterRef("pk")))))
    list(Customer.objects.annotate(latest=Subquery(Order.objects.filter(customer=OuterRef("pk")).order_by("-id").values("placed")[:1])))
    list(Customer.objects.annotate(kind=Case(When(balance__gt=5, then=Value("rich")), default=Value("poor"))))
    list(Customer.objects.annotate(place=Window(Rank(), order_by=F("balance").desc())))
    list(Customer.objects.filter(tags__contains=["a"], profile__k=1))
    list(Customer.objects.filter(profile__has_key="k", created__year=2026, created__date__gte=datetime.date(2020, 1, 1)))
    list(Customer.objects.filter(email__in=["ada@example.org", "b"], name__regex="^A"))
    list(Customer.objects.filter(name="Ada").union(Customer.objects.filter(name="C1")))
    list(Order.objects.select_related("customer").prefetch_related("products", Prefetch("line_set")))
    list(Order.objects.annotate(month=TruncMonth("placed")).values("month").annotate(s=Sum("line__quantity")))
    list(Order.objects.dates("placed", "month"))
    Customer.objects.aggregate(Avg("balance"), Count("id"), everything=Coalesce(Sum("balance"), Value(decimal.Decimal(0))))
    Customer.objects.aggregate(names=StringAgg("name", delimiter=Value(",")), ids=ArrayAgg("id"))
    Customer.objects.in_bulk([1, 2])
    Customer.objects.count(), Customer.objects.exists(), Customer.objects.first(), Customer.objects.latest("created")
    list(Customer.objects.raw("SELECT id, name FROM shop_customer WHERE balance > %s", [0]))
    list(Customer.objects.iterator(chunk_size=2))
    Customer.objects.filter(name="Ada").explain()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM shop_order")
        cursor.fetchone()


def administer():
    user = User.objects.create_superuser("boss", "boss@example.org", "secret")
    group = Group.objects.create(name="staff")
    group.permissions.set(Permission.objects.filter(codename__startswith="view")[:3])
    user.groups.add(group)
    client = Client()
    client.force_login(user)
    for page in ("", "shop/customer/?q=ada", "shop/customer/1/change/", "shop/customer/add/", "shop/order/", "auth/user/", "shop/customer/1/history/", "shop/customer/1/delete/"):
        client.get("/admin/" + page)
    client.post("/admin/shop/customer/add/", {"name": "Via admin", "email": "v@example.org", "ssn": "1", "balance": "1", "tags": "a", "profile": "{}"})
    user.has_perm("shop.view_customer")
    User.objects.create_user("plain", "p@example.org", "x").get_all_permissions()


def introspect():
    inspection = connection.introspection
    with connection.cursor() as cursor:
        inspection.table_names(cursor, include_views=True)
        for table in ("shop_customer", "shop_order"):
            inspection.get_table_description(cursor, table)
            inspection.get_constraints(cursor, table)
            inspection.get_relations(cursor, table)
            inspection.get_sequences(cursor, table)
    call_command("inspectdb", stdout=open(os.devnull, "w"))
    call_command("flush", interactive=False, verbosity=0) if "flush" in sys.argv else None


migrate()
write()
read()
administer()
introspect()
