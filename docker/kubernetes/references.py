"""What no schema sees: that the manifests refer to things that are there. check runs this.

references.py LAB RUN LOAD [CRD]: the three built manifests, and the operator's CRD to hold the TestRun to.
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


def unrestricted(pod, containers):
    """What keeps a pod from the standard `restricted`, of what these manifests could get wrong."""
    own = pod.get("securityContext", {})
    for container in containers:
        name, security = container.get("name", "k6"), container.get("securityContext", {})

        def said(key):
            return security.get(key, own.get(key))

        if said("runAsNonRoot") is not True or not said("runAsUser"):
            yield f"{name} may run as root"
        if (said("seccompProfile") or {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"
        if security.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may get privileges"
        if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
            yield f"{name} has capabilities"
        if security.get("privileged") or any("hostPort" in port for port in container.get("ports", [])):
            yield f"{name} has something of its host"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "it has something of its host"
    for volume in pod.get("volumes", []):
        if not {"emptyDir", "configMap", "secret", "persistentVolumeClaim"} & volume.keys():
            yield f"the volume {volume['name']} is of no kind that is allowed"


def pods_of(load):
    """The pods that the operator makes of a TestRun, as their security and their labels go."""
    for d in load:
        if d["kind"] != "TestRun":
            continue
        for role in ("runner", "starter", "initializer"):
            # What is left out is as a runner; a starter is not.
            pod = d["spec"].get(role, {} if role == "starter" else d["spec"]["runner"])
            container = {**pod, "name": role, "securityContext": pod.get("containerSecurityContext", {})}
            labels = pod.get("metadata", {}).get("labels", {})
            yield f"the {role} of TestRun {d['metadata']['name']}", labels, pod, [container]


def main():
    lab = documents(sys.argv[1]) + documents(sys.argv[2])
    load = documents(sys.argv[3])
    there = {(d["kind"], d["metadata"]["name"]): d for d in lab + load}
    missing = []

    def need(kind, name, who):
        if (kind, name) not in there:
            missing.append(f"{who} refers to the {kind} {name}, which is not there")

    pods = [d["spec"]["template"] for d in lab if d["kind"] in ("Deployment", "StatefulSet", "Job")]
    all_pods = list(pods_of(load))
    for d in lab + load:
        if d["kind"] in ("Deployment", "StatefulSet", "Job"):
            who, template = f"{d['kind']} {d['metadata']['name']}", d["spec"]["template"]
            containers = template["spec"]["containers"] + template["spec"].get("initContainers", [])
            all_pods.append((who, template["metadata"]["labels"], template["spec"], containers))
        if d["kind"] == "Job" and "ttlSecondsAfterFinished" not in d["spec"]:
            missing.append(f"Job {d['metadata']['name']} stays when it has ended, and cannot be applied again")
        if d["kind"] == "TestRun" and d["spec"].get("cleanup") != "post":
            missing.append("TestRun stays when it has ended, and is not run again by applying it again")
    for who, labels, pod, containers in all_pods:
        missing += [f"{who} is not restricted: {why}" for why in unrestricted(pod, containers)]
        # The sidecar is told of InfluxDB by a patch, runners by a variable: both name its address.
        text = str(pod)
        for d in lab:
            if d["kind"] != "NetworkPolicy":
                continue
            service = d["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
            let_in = [
                source["podSelector"]["matchLabels"].items() <= labels.items()
                for rule in d["spec"]["ingress"]
                for source in rule["from"]
            ]
            if f"//{service}:" in text and not any(let_in):
                missing.append(f"{who} uses {service}, whose NetworkPolicy does not let it in")
    if not any(d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == "influxdb" for d in lab):
        missing.append("no NetworkPolicy stands before InfluxDB")
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
            if "persistentVolumeClaim" in part:
                need("PersistentVolumeClaim", part["persistentVolumeClaim"]["claimName"], who)
            if "secretName" in part:
                need("Secret", part["secretName"], who)
                keys = there.get(("Secret", part["secretName"]), {}).get("data", {})
                lacking = [item["key"] for item in part.get("items", []) if item["key"] not in keys]
                missing += [f"{who} mounts {key} of a Secret that has none" for key in lacking]
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
                if "secretRef" in part and not part["secretRef"].get("optional"):
                    need("Secret", part["secretRef"]["name"], "TestRun")
            if script["file"] not in there[("ConfigMap", script["name"])]["data"]:
                missing.append(f"TestRun: {script['name']} has no {script['file']}")
    if missing:
        sys.exit("\n".join(f"kubernetes: {text}" for text in missing))
    print(f"kubernetes: what {len(there)} resources refer to is there, and {len(all_pods)} pods are restricted")
    if len(sys.argv) > 4:
        version = documents(sys.argv[4])[0]["spec"]["versions"][0]
        schema = strict(version["schema"]["openAPIV3Schema"])
        # What every resource has, and a CRD says nothing about.
        schema["properties"]["metadata"] = {"type": "object"}
        runs = [d for d in load if d["kind"] == "TestRun"]
        for d in runs:
            jsonschema.validate(d, schema)
        print(f"kubernetes: {len(runs)} TestRun is valid by the operator's CRD")


main()
