"""Settings of a small site whose whole state is on the volume that the replicas share."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
VOLUME = Path(os.environ["BELLWETHER_VOLUME"])

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "an example signs nothing")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"

INSTALLED_APPS = ["django.contrib.staticfiles", "catalogue"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", VOLUME / "shop.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = VOLUME / "static"
STORAGES = {
    # Names with a hash in them, and a manifest: a server without the collected files cannot even name them.
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
