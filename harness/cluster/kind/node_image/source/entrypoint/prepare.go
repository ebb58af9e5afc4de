package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	cgroupRoot   = "/sys/fs/cgroup"
	firstAddress = "/var/lib/harness/first-address"
	resolver     = "/etc/resolv.conf"
	corefile     = "/run/harness-forwarder"
)

func shareMounts() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "") }

// prepareCgroups makes the cgroup `kubelet`, under which kind tells the kubelet to put its pods.
func prepareCgroups() error {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		return prepareUnifiedCgroup()
	}
	hierarchies, err := cgroupMounts()
	if err != nil {
		return err
	}
	for _, hierarchy := range hierarchies {
		folder := filepath.Join(hierarchy, "kubelet")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if filepath.Base(hierarchy) != "cpuset" {
			continue
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new one: nothing could run
			value, err := os.ReadFile(filepath.Join(hierarchy, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, name), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func cgroupMounts() ([]string, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == "cgroup" {
			found = append(found, fields[1])
		}
	}
	return found, nil
}

// prepareUnifiedCgroup moves the processes out of the root, which may hold none when it delegates controllers.
func prepareUnifiedCgroup() error {
	for _, folder := range []string{"/init", "/kubelet"} {
		if err := os.MkdirAll(cgroupRoot+folder, 0o755); err != nil {
			return err
		}
	}
	processes, err := os.ReadFile(cgroupRoot + "/cgroup.procs")
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(processes)) {
		err := os.WriteFile(cgroupRoot+"/init/cgroup.procs", []byte(pid), 0o644)
		if err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	controllers, err := os.ReadFile(cgroupRoot + "/cgroup.controllers")
	if err != nil {
		return err
	}
	for _, folder := range []string{"", "/kubelet"} {
		for _, controller := range strings.Fields(string(controllers)) {
			if err := os.WriteFile(cgroupRoot+folder+"/cgroup.subtree_control", []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("delegating %s: %w", controller, err)
			}
		}
	}
	return nil
}

func nameMachine() error {
	const path = "/etc/machine-id"
	if content, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(content))) == 32 {
		return nil
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(hex.EncodeToString(id)+"\n"), 0o444)
}

// chooseIptables keeps nftables where the kernel has them, else the legacy tables.
func chooseIptables() error {
	if exec.Command("iptables-nft", "-t", "nat", "-L", "-n").Run() == nil {
		return nil
	}
	for _, name := range []string{"iptables", "ip6tables"} {
		if err := exec.Command("update-alternatives", "--set", name, "/usr/sbin/"+name+"-legacy").Run(); err != nil {
			return err
		}
	}
	return nil
}

func nodeAddress() (string, error) {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	addresses, err := link.Addrs()
	if err != nil {
		return "", err
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
			return network.IP.String(), nil
		}
	}
	return "", errors.New("eth0 has no IPv4 address")
}

// keepAddress makes a node that was given another address after a restart answer to its first one too:
// kubeadm wrote that into manifests, certificates and kubeconfigs, and on the only node nobody else needs it.
func keepAddress() error {
	current, err := nodeAddress()
	if err != nil {
		return err
	}
	first, err := os.ReadFile(firstAddress)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(firstAddress), 0o755); err != nil {
			return err
		}
		return os.WriteFile(firstAddress, []byte(current), 0o644)
	}
	if err != nil || string(first) == current {
		return err
	}
	return exec.Command("ip", "address", "replace", string(first)+"/32", "dev", "lo").Run()
}

// startForwarder serves Docker's own DNS, which only the node reaches, on the node's address, which pods reach.
func startForwarder(supervisor *supervisor) error {
	content, err := os.ReadFile(resolver)
	if err != nil {
		return err
	}
	const embedded = "127.0.0.11"
	address, err := nodeAddress()
	if err != nil {
		return err
	}
	if !strings.Contains(string(content), embedded) && !strings.Contains(string(content), address) {
		return nil
	}
	configuration := fmt.Sprintf(".:53 {\n  bind %s\n  errors\n  cache 5\n  forward . %s\n}\n", address, embedded)
	if err := os.WriteFile(corefile, []byte(configuration), 0o644); err != nil {
		return err
	}
	supervisor.keep("forwarder", func() *exec.Cmd { return exec.Command("coredns", "-conf", corefile, "-quiet") })
	return os.WriteFile(resolver, []byte(strings.ReplaceAll(string(content), embedded, address)), 0o644)
}
