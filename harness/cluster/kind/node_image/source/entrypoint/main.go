// The first process of a kind node that has no systemd: it prepares mounts, cgroups and names, keeps
// containerd, a DNS forwarder and the kubelet running, and reaps what is left to it.
package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	ready        = "Reached target Multi-User System." // kind waits for this line
	imagesFolder = "/kind/images"
	importLock   = "/run/harness-import.lock"         // as in harness/image/node.py
	imported     = "/var/lib/harness/images-imported" // on the volume that holds containerd's store
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("node: ")
	steps := []struct {
		name string
		do   func() error
	}{
		{"suppressing sync", suppressSync},
		{"looking for a crash of the machine", noticeCrash},
		{"sharing the mounts", shareMounts},
		{"preparing the cgroups", prepareCgroups},
		{"naming the machine", nameMachine},
		{"choosing iptables", chooseIptables},
		{"keeping the node's first address", keepAddress},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			log.Fatalf("%s: %v", step.name, err)
		}
	}
	supervisor := newSupervisor()
	if err := startForwarder(supervisor); err != nil {
		log.Fatalf("starting the DNS forwarder: %v", err)
	}
	supervisor.keep("containerd", func() *exec.Cmd { return exec.Command("containerd") })
	go func() {
		waitFor("containerd to answer", func() bool { return supervisor.run("ctr", "version") == nil })
		unlock, err := lockImports()
		if err != nil {
			log.Fatalf("locking imports: %v", err)
		}
		fmt.Println(ready) // what kubeadm does first needs no images: only the kubelet does
		staticPods := make(chan struct{})
		go func() {
			if err := importImages(supervisor, staticPods); err != nil {
				log.Fatalf("importing the images: %v", err)
			}
			_ = unlock()
		}()
		<-staticPods
		waitFor("kubeadm's kubelet configuration", kubeletConfigured)
		supervisor.keep("kubelet", kubeletCommand)
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	log.Print("stopping")
	if err := noteStop(); err != nil {
		log.Print(err)
	}
	supervisor.stop()
}

// waitFor polls a condition that has no event to wait for, and says what it waits for.
func waitFor(what string, condition func() bool) {
	log.Printf("waiting for %s", what)
	for !condition() {
		time.Sleep(100 * time.Millisecond)
	}
}

// lockImports keeps clients, which begin as soon as the node is ready, from importing at the same time: containerd
// takes in the index of every archive under one name.
func lockImports() (func() error, error) {
	file, err := os.OpenFile(importLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return file.Close, syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
}

// importImages closes staticPods once there are the images that the kubelet starts with.
func importImages(supervisor *supervisor, staticPods chan<- struct{}) error {
	archives, err := filepath.Glob(imagesFolder + "/*.tar")
	if err != nil {
		return err
	}
	if _, err := os.Stat(imported); err == nil {
		archives = nil
	}
	for index, archive := range archives {
		if err := supervisor.run("ctr", "-n", "k8s.io", "images", "import", "--local", archive); err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		if index == 0 {
			close(staticPods)
		}
	}
	if len(archives) == 0 {
		close(staticPods)
	}
	if err := os.MkdirAll(filepath.Dir(imported), 0o755); err != nil {
		return err
	}
	return os.WriteFile(imported, nil, 0o644)
}

const (
	kubeletConfig = "/var/lib/kubelet/config.yaml"
	kubeletFlags  = "/var/lib/kubelet/kubeadm-flags.env"
)

func kubeletConfigured() bool {
	for _, path := range []string{kubeletConfig, kubeletFlags} {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// kubeletCommand reads the flags that kubeadm wrote, as its systemd unit would.
func kubeletCommand() *exec.Cmd {
	arguments := []string{
		"--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
		"--kubeconfig=/etc/kubernetes/kubelet.conf",
		"--config=" + kubeletConfig,
	}
	if content, err := os.ReadFile(kubeletFlags); err == nil {
		_, value, _ := strings.Cut(strings.TrimSpace(string(content)), "=")
		arguments = append(arguments, strings.Fields(strings.Trim(value, `"`))...)
	}
	return exec.Command("kubelet", arguments...)
}
