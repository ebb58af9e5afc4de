package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "harness.local/directory"

// directories provisions volumes as directories of the one node it runs on: no helper pod, no image,
// so a claim is bound as soon as its pod is scheduled.
type directories struct{ root string }

func (d directories) path(volume string) string { return filepath.Join(d.root, filepath.Base(volume)) }

func (d directories) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	if options.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, fmt.Errorf("no node was selected for %s", options.PVC.Name)
	}
	path := d.path(options.PVName)
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil { // past the umask
		return nil, controller.ProvisioningFinished, err
	}
	directory := core.HostPathDirectoryOrCreate
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			Capacity:                      options.PVC.Spec.Resources.Requests,
			PersistentVolumeSource: core.PersistentVolumeSource{
				HostPath: &core.HostPathVolumeSource{Path: path, Type: &directory},
			},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{
					{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{options.SelectedNodeName}},
				}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

func (d directories) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return os.RemoveAll(d.path(volume.Name))
}

func localProvisioner() {
	root := flag.String("root", "/var/local-path-provisioner", "directory of the node that holds the volumes")
	flag.Parse()
	ctx := context.Background()
	config, err := rest.InClusterConfig()
	if err != nil {
		klog.FromContext(ctx).Error(err, "no cluster")
		os.Exit(1)
	}
	client := kubernetes.NewForConfigOrDie(config)
	controller.NewProvisionController(ctx, client, provisionerName, directories{*root},
		controller.LeaderElection(false)).Run(ctx)
}
