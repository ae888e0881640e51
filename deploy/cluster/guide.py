"""Runs the kubectl commands of the guides and runbooks against the API server of the cluster's test.

    guide.py KUBECTL KUBECONFIG TREE PODS COMMANDS

COMMANDS is the output of `manifests guide`. PODS has the pods of every rendered object, a line `namespace<TAB>labels as JSON` each. A command
that changes something runs with --dry-run=server. One that needs a node's kubelet or an extension of the API is not run: its object must exist, its
labels must select a pod, and its reason is printed. Prints `N run, N not run` and each failure; exit status 1 if one failed.
"""

import json
import re
import shlex
import subprocess
import sys

KUBECTL, KUBECONFIG, TREE, PODS, COMMANDS = sys.argv[1:]
NODE, POD = "node-1", "exchange-guide"
# Verbs that change objects; the server judges them without storing the change.
DRY_RUN = {"apply", "create", "delete", "scale", "drain", "cordon", "uncordon", "annotate", "label", "patch", "set"}
NOT_RUN = {
    "logs": "needs a kubelet",
    "exec": "needs a kubelet",
    "cp": "needs a kubelet",
    "port-forward": "needs a kubelet",
    "top": "needs the extension metrics-server",
}
# Pods that an operator or the cluster's own installation makes; no rendered object has them.
MADE_ELSEWHERE = [
    ("monitoring", {"app.kubernetes.io/name": "prometheus"}),
    ("monitoring", {"app.kubernetes.io/name": "alertmanager"}),
    ("logging", {"elasticsearch.k8s.elastic.co/cluster-name": "logs"}),
    ("kube-system", {"k8s-app": "kube-dns"}),
]
# Where a command without a namespace runs: the guide's reader works in this one.
DEFAULT_NAMESPACE = "exchange"


def read_pods():
    with open(PODS, encoding="utf-8") as file:
        found = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    return [(namespace, json.loads(labels)) for namespace, labels in found] + MADE_ELSEWHERE


def option(words, *names):
    for place, word in enumerate(words):
        if word in names:
            return words[place + 1]
        for name in names:
            if word.startswith(name + "="):
                return word[len(name) + 1 :]
    return None


def verb_of(words):
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in ("-n", "--namespace"):
            skip = True
        elif not word.startswith("-"):
            return word
    return None


def selects(words, pods):
    """A fault if the labels of a command select no pod."""
    selector = option(words, "-l", "--selector")
    if selector is None:
        return None
    everywhere = any(word in ("-A", "--all-namespaces") for word in words)
    namespace = option(words, "-n", "--namespace") or DEFAULT_NAMESPACE
    for where, labels in pods:
        if everywhere or where == namespace:
            parts = [part.split("=", 1) for part in selector.split(",")]
            if all(part[0] in labels and (len(part) == 1 or labels[part[0]] == part[1]) for part in parts):
                return None
    place = "any namespace" if everywhere else f"the namespace {namespace}"
    return f"{selector} selects no pod in {place}"


def kubectl(words):
    command = [KUBECTL, "--kubeconfig", KUBECONFIG, *words]
    return subprocess.run(command, cwd=TREE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def in_namespace(words):
    if option(words, "-n", "--namespace") or any(word in ("-A", "--all-namespaces") for word in words):
        return words
    return ["--namespace", DEFAULT_NAMESPACE, *words]


def judge(command, pods):
    """A fault, or None; and why the command was not run, or None."""
    words = [re.sub(r"\bNODE\b", NODE, re.sub(r"\bPOD\b", POD, word)) for word in shlex.split(command)[1:]]
    verb = verb_of(words)
    fault = selects(words, pods)
    if fault or verb is None:
        return fault or "no verb", None
    if verb in NOT_RUN:
        # Such as deployment/exchange-serve. A release names its Job by the commit, so that one is an example.
        target = next((word for word in words if re.fullmatch(r"[a-z]+/[a-z0-9-]+", word)), None)
        if target and not target.startswith(("job/exchange-migrate-", "job/exchange-publish-")):
            namespace = option(words, "-n", "--namespace") or DEFAULT_NAMESPACE
            answer = kubectl(["get", target, "--namespace", namespace])
            if answer.returncode:
                return answer.stderr.strip(), None
        return None, NOT_RUN[verb]
    # Files name their own namespaces.
    if verb != "apply":
        words = in_namespace(words)
    if verb in DRY_RUN:
        words.append("--dry-run=server")
        if verb == "apply":
            words.append("--force-conflicts")
    if verb == "rollout" and "status" in words:
        words.append("--watch=false")
    answer = kubectl(words)
    fault = answer.stderr.strip() if answer.returncode or "Warning:" in answer.stderr else None
    return fault, None


def main():
    pods, run, reasons, failed = read_pods(), 0, {}, 0
    with open(COMMANDS, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t", 1) for line in file if line.strip()]
    for place, command in lines:
        fault, reason = judge(command, pods)
        if fault:
            failed += 1
            print(f"{place}: {command}\n    {fault}")
        elif reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            run += 1
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    print(f"{run} run, {sum(reasons.values())} not run ({why}), {failed} failed")
    return 1 if failed or not lines else 0


sys.exit(main())
