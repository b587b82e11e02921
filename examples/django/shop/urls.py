from catalogue.views import state
from django.urls import path

urlpatterns = [path("state", state)]
