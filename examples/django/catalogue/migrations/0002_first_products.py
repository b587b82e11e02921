from decimal import Decimal

from django.db import migrations


def add(apps, schema_editor):
    product = apps.get_model("catalogue", "Product")
    product.objects.bulk_create(
        product(name=f"Bell no. {number}", price=Decimal(number) + Decimal("0.25")) for number in range(1, 21)
    )


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
