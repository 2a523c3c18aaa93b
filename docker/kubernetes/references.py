"""What no schema sees: that the manifests refer to things that are there. check runs this.

references.py LAB LOAD [CRD]: the two built manifests, and the operator's CRD to hold the TestRun to.
"""

import sys

import jsonschema
import yaml


def documents(path):
    with open(path, encoding="utf-8") as file:
        return [document for document in yaml.safe_load_all(file) if document]


def walk(value):
    """Every mapping below `value`."""
    if isinstance(value, dict):
        yield value
        value = value.values()
    elif not isinstance(value, list):
        return
    for part in value:
        yield from walk(part)


def strict(schema):
    """The schema with unknown fields refused, as the API server prunes them without a word."""
    for part in walk(schema):
        if "properties" in part and "additionalProperties" not in part:
            if not part.get("x-kubernetes-preserve-unknown-fields"):
                part["additionalProperties"] = False
    return schema


def main():
    lab, load = documents(sys.argv[1]), documents(sys.argv[2])
    there = {(d["kind"], d["metadata"]["name"]): d for d in lab + load}
    missing = []

    def need(kind, name, who):
        if (kind, name) not in there:
            missing.append(f"{who} refers to the {kind} {name}, which is not there")

    pods = [d["spec"]["template"] for d in lab if d["kind"] in ("Deployment", "StatefulSet", "Job")]
    for d in lab:
        who = f"{d['kind']} {d['metadata']['name']}"
        for part in walk(d):
            if "secretKeyRef" in part:
                reference = part["secretKeyRef"]
                need("Secret", reference["name"], who)
                secret = there.get(("Secret", reference["name"]), {})
                if reference["key"] not in secret.get("data", {}):
                    missing.append(f"{who} refers to {reference['key']} of a Secret that has none")
            if "configMap" in part:
                need("ConfigMap", part["configMap"]["name"], who)
        if d["kind"] == "Service":
            selector = d["spec"]["selector"].items()
            chosen = [p for p in pods if selector <= p["metadata"]["labels"].items()]
            ports = {
                port["name"]
                for pod in chosen
                for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", [])
                for port in container.get("ports", [])
            }
            for port in d["spec"]["ports"]:
                if port["targetPort"] not in ports:
                    missing.append(f"{who}: no pod it selects has a port {port['targetPort']}")
    for d in load:
        if d["kind"] == "TestRun":
            script = d["spec"]["script"]["configMap"]
            need("ConfigMap", script["name"], "TestRun")
            for part in walk(d):
                if "secretRef" in part:
                    need("Secret", part["secretRef"]["name"], "TestRun")
            if script["file"] not in there[("ConfigMap", script["name"])]["data"]:
                missing.append(f"TestRun: {script['name']} has no {script['file']}")
    if missing:
        sys.exit("\n".join(f"kubernetes: {text}" for text in missing))
    print(f"kubernetes: what {len(there)} resources refer to is there")
    if len(sys.argv) > 3:
        version = documents(sys.argv[3])[0]["spec"]["versions"][0]
        schema = strict(version["schema"]["openAPIV3Schema"])
        # What every resource has, and a CRD says nothing about.
        schema["properties"]["metadata"] = {"type": "object"}
        runs = [d for d in load if d["kind"] == "TestRun"]
        for d in runs:
            jsonschema.validate(d, schema)
        print(f"kubernetes: {len(runs)} TestRun is valid by the operator's CRD")


main()
