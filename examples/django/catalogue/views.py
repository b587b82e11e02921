from catalogue.models import Product
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Sum
from django.http import JsonResponse
from django.templatetags.static import static


def state(request):
    """What this replica sees of the schema, the data and the collected files."""
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    recorded = MigrationRecorder(connection).migration_qs.order_by("id").values_list("app", "name")
    return JsonResponse(
        {
            "recorded": [f"{app}.{name}" for app, name in recorded],
            "pending": [f"{migration.app_label}.{migration.name}" for migration, _ in pending],
            "products": Product.objects.count(),
            "cents": Product.objects.aggregate(sum=Sum("cents"))["sum"],
            "stylesheet": static("catalogue/site.css"),
        }
    )
