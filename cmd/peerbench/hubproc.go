package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// hubProcess is the hub as the bench sees it.
type hubProcess struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	endpoint string
}

// startHub runs this program again as the hub.
func startHub() (*hubProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &hubProcess{cmd: exec.Command(self, hubArgument)}
	h.cmd.Stderr = os.Stderr
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(out)
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the hub: %w", err)
	}
	a, err := h.do(command{Do: "reset"})
	h.endpoint = a.Endpoint
	return h, err
}

// do gives a command and returns what the hub answers.
func (h *hubProcess) do(c command) (answer, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	if _, err := h.in.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("tell the hub to %s: %w", c.Do, err)
	}
	reply, err := h.out.ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("hear whether the hub did %s: %w", c.Do, err)
	}
	var a answer
	if err := json.Unmarshal(reply, &a); err != nil {
		return answer{}, fmt.Errorf("read what the hub said to %s: %w", c.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("hub: %s: %w", c.Do, errors.New(a.Error))
	}
	return a, nil
}

// close ends the hub.
func (h *hubProcess) close() error {
	h.in.Close() // the hub ends when its input does
	return h.cmd.Wait()
}
