// Syncs manifests from standard input into one namespace with Argo CD's own engine: hooks, waves, health, pruning. It prints the phase and
// the result of each object. Exit status: 0 succeeded, 1 failed.
//
// As Argo CD's controller does, every step takes a fresh look at the cluster and gets the results of the steps before. The engine's own
// Sync keeps one look, and can take a finished Job of the same name for the hook.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/cache"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/v3/pkg/utils/tracing"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Marks every object of the Application. Argo CD tracks by an annotation too.
const tracking = "argocd.argoproj.io/tracking-id"

// Pause between two looks.
const pause = 500 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "file that names the cluster")
	namespace := flag.String("namespace", "", "namespace of the Application")
	application := flag.String("application", "", "name of the Application")
	revision := flag.String("revision", "", "revision that is synced")
	timeout := flag.Duration("timeout", 2*time.Minute, "longest duration of the sync")
	flag.Parse()
	phase, err := run(*kubeconfig, *namespace, *application, *revision, *timeout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sync:", err)
		os.Exit(1)
	}
	if phase != common.OperationSucceeded {
		os.Exit(1)
	}
}

func run(kubeconfig, namespace, application, revision string, timeout time.Duration) (common.OperationPhase, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return "", err
	}
	config.QPS, config.Burst = 200, 400
	targets, err := read(application)
	if err != nil {
		return "", err
	}
	belongs := func(object *unstructured.Unstructured) bool { return object.GetAnnotations()[tracking] == application }
	clusterCache := cache.NewClusterCache(config, cache.SetNamespaces([]string{namespace}), cache.SetLogr(logr.Discard()),
		cache.SetPopulateResourceInfoHandler(func(object *unstructured.Unstructured, _ bool) (any, bool) {
			return belongs(object), belongs(object)
		}))
	if err := clusterCache.EnsureSynced(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return steps(ctx, config, clusterCache, targets, namespace, revision)
}

func read(application string) ([]*unstructured.Unstructured, error) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil, err
	}
	targets, err := kube.SplitYAML(text)
	for _, target := range targets {
		annotations := target.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[tracking] = application
		target.SetAnnotations(annotations)
	}
	return targets, err
}

func steps(ctx context.Context, config *rest.Config, clusterCache cache.ClusterCache, targets []*unstructured.Unstructured, namespace, revision string) (common.OperationPhase, error) {
	managed := func(resource *cache.Resource) bool { is, _ := resource.Info.(bool); return is }
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	started := metav1.Now()
	phase, message := common.OperationRunning, ""
	var results []common.ResourceSyncResult
	for !phase.Completed() && ctx.Err() == nil {
		live, err := clusterCache.GetManagedLiveObjs(targets, managed)
		if err != nil {
			return "", err
		}
		reconciled := sync.Reconcile(targets, live, namespace, clusterCache)
		step, cleanup, err := sync.NewSyncContext(revision, reconciled, config, config, kubectl, namespace, sync.WithPrune(true),
			sync.WithLogr(logr.Discard()), sync.WithInitialState(phase, message, results, started))
		if err != nil {
			return "", err
		}
		step.Sync(ctx)
		phase, message, results = step.GetState()
		cleanup()
		time.Sleep(pause)
	}
	fmt.Printf("phase %s: %s\n", phase, message)
	for _, result := range results {
		fmt.Printf("%s %s hook=%s status=%s phase=%s: %s\n", result.ResourceKey.Kind, result.ResourceKey.Name, result.HookType, result.Status, result.HookPhase, result.Message)
	}
	return phase, nil
}
