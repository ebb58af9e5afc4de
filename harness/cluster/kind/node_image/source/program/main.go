// One program for everything that a kind node and its client run. It picks its role from the name it
// is called by, so the roles share one copy of the Kubernetes libraries on disk and in memory.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

var roles = map[string]func(){
	"coredns":                 coredns,
	"etcd":                    etcd,
	"helm":                    helm,
	"kind":                    kind,
	"kube-apiserver":          apiServer,
	"kube-controller-manager": controllerManager,
	"kube-proxy":              kubeProxy,
	"kube-scheduler":          scheduler,
	"kubeadm":                 kubeadm,
	"kubectl":                 kubectl,
	"kubelet":                 kubelet,
	"local-provisioner":       localProvisioner,
}

func main() {
	name := filepath.Base(os.Args[0])
	if role, ok := roles[name]; ok {
		role()
		return
	}
	names := make([]string, 0, len(roles))
	for role := range roles {
		names = append(names, role)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "%s: called by an unknown name; link it to one of %v\n", name, names)
	os.Exit(2)
}
