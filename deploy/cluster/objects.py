"""Reads rendered objects for the cluster's test: selects kinds, adds a namespace, changes one member.

    objects.py kinds KIND…                            documents of these kinds, from standard input
    objects.py namespaced NAMESPACE                   without definitions, with the namespace that Helm leaves out
    objects.py dependencies FOLDER NAME…              removes from a chart the dependencies that are not named
    objects.py pods NAMESPACE                         namespace and labels of each pod template, `namespace<TAB>labels as JSON`
    objects.py change FILE KIND NAME PATH JSON        one object with a changed member
"""

import json
import sys

import yaml

# YAML 1.1 reads a plain `=` as a value of its own; Kubernetes reads it as text.
yaml.SafeLoader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)

CLUSTER_KINDS = ("IngressClass", "Namespace", "PriorityClass", "StorageClass")


def documents(stream):
    return [document for document in yaml.safe_load_all(stream) if document]


def main(command, *words):
    if command == "change":
        file, kind, name, path, value = words
        with open(file, encoding="utf-8") as stream:
            found = [d for d in documents(stream) if d["kind"] == kind and d["metadata"]["name"] == name]
        node, parts = found[0], path.split(".")
        for part in parts[:-1]:
            node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
        node[int(parts[-1]) if parts[-1].isdigit() else parts[-1]] = json.loads(value)
        print(json.dumps(found[0]))
        return
    if command == "dependencies":
        path = f"{words[0]}/Chart.yaml"
        with open(path, encoding="utf-8") as stream:
            chart = yaml.safe_load(stream)
        chart["dependencies"] = [one for one in chart.get("dependencies", []) if one["name"] in words[1:] or one["name"] == "crds"]
        with open(path, "w", encoding="utf-8") as stream:
            yaml.safe_dump(chart, stream)
        return
    found = documents(sys.stdin)
    if command == "pods":
        for document in found:
            spec = document.get("spec") or {}
            spec = spec.get("jobTemplate", {}).get("spec", spec)
            template = spec.get("template", {}) if isinstance(spec, dict) else {}
            labels = template.get("metadata", {}).get("labels") if isinstance(template, dict) else None
            if labels:
                print(document["metadata"].get("namespace", words[0]), json.dumps(labels), sep="\t")
        return
    if command == "kinds":
        found = [document for document in found if document["kind"] in words]
    elif command == "namespaced":
        found = [document for document in found if document["kind"] != "CustomResourceDefinition"]
        for document in found:
            of_cluster = document["kind"].startswith(("Cluster", "ValidatingWebhook", "MutatingWebhook")) or document["kind"] in CLUSTER_KINDS
            if not of_cluster:
                document["metadata"].setdefault("namespace", words[0])
    print("---\n".join(json.dumps(document) + "\n" for document in found))


main(*sys.argv[1:])
