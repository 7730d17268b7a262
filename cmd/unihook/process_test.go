package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
)

// asProgram makes the test binary the program itself, so that tests start real processes without building anything.
const asProgram = "UNIHOOK_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		_ = os.Unsetenv(asProgram)
		main()
	}
	os.Exit(m.Run())
}

// program is a process of `unihook args...`, not started yet, that has no settings but env and ends with ctx.
func program(ctx context.Context, t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append([]string{asProgram + "=1", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	return cmd
}

// result is what a command left behind.
type result struct {
	status      int
	out, errors string
}

// runProcess runs `unihook args...` as a process of its own, with this standard input.
func runProcess(t *testing.T, stdin []byte, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := program(t.Context(), t, nil, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// runHere runs the same in this process.
func runHere(t *testing.T, stdin []byte, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	status := run(t.Context(), args, terminal{bytes.NewReader(stdin), &out, &errs})
	return result{status, out.String(), errs.String()}
}
