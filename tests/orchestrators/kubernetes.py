"""Documents of YAML from stdin as JSON, each checked against the API of the versions that are named; unknown keys are mistakes."""

import json
import sys

import kubernetes_validate
import yaml

versions = sys.argv[1:]
documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
mistakes = []
for document in documents:
    name = "%s %s" % (document.get("kind"), document.get("metadata", {}).get("name"))
    for version in versions:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            mistakes.append("%s, %s: %s" % (name, version, error))
json.dump({"documents": documents, "mistakes": mistakes}, sys.stdout)
