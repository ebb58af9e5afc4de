package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// supervisor starts processes, starts them again when they end, and is the only one that waits for
// children: as process 1 it also gets those that others left.
type supervisor struct {
	mutex    sync.Mutex
	waiting  map[int]chan syscall.WaitStatus
	running  map[int]string
	stopping bool
}

func newSupervisor() *supervisor {
	s := &supervisor{waiting: map[int]chan syscall.WaitStatus{}, running: map[int]string{}}
	children := make(chan os.Signal, 64)
	signal.Notify(children, syscall.SIGCHLD)
	go func() {
		for range children {
			s.reap()
		}
	}()
	return s
}

func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		s.mutex.Lock()
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		var waiter chan syscall.WaitStatus
		if pid > 0 {
			waiter = s.waiting[pid]
			delete(s.waiting, pid)
			delete(s.running, pid)
		}
		s.mutex.Unlock()
		if pid <= 0 || err != nil {
			return
		}
		if waiter != nil {
			waiter <- status
		}
	}
}

// start holds the lock while the process is made, so it cannot be reaped before it is known.
func (s *supervisor) start(command *exec.Cmd) (<-chan syscall.WaitStatus, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := command.Start(); err != nil {
		return nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	s.waiting[command.Process.Pid] = ended
	s.running[command.Process.Pid] = command.Path
	return ended, nil
}

type exitError syscall.WaitStatus

func (e exitError) Error() string {
	status := syscall.WaitStatus(e)
	if status.Signaled() {
		return "killed by " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// run executes a program to its end.
func (s *supervisor) run(name string, arguments ...string) error {
	command := exec.Command(name, arguments...)
	ended, err := s.start(command)
	if err != nil {
		return err
	}
	if status := <-ended; status != 0 {
		return exitError(status)
	}
	return nil
}

// keep starts a program and starts it again, a second later, whenever it ends.
func (s *supervisor) keep(name string, make func() *exec.Cmd) {
	go func() {
		for {
			command := make()
			command.Stdout, command.Stderr = os.Stdout, os.Stderr
			ended, err := s.start(command)
			if err == nil {
				err = exitError(<-ended)
			}
			s.mutex.Lock()
			stopping := s.stopping
			s.mutex.Unlock()
			if stopping {
				return
			}
			log.Printf("%s ended (%v); starting it again", name, err)
			time.Sleep(time.Second)
		}
	}()
}

// stop ends what runs, kindly at first.
func (s *supervisor) stop() {
	s.mutex.Lock()
	s.stopping = true
	for pid := range s.running {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	s.mutex.Unlock()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		s.mutex.Lock()
		left := len(s.running)
		s.mutex.Unlock()
		if left == 0 {
			return
		}
	}
}
