package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// FerretDB stands in for MongoDB's server, which no module registry has. Its version is a part of the cached file's
// name, as is the revision of the program around it.
const (
	ferretModule   = "github.com/FerretDB/FerretDB"
	ferretVersion  = "v1.24.2"
	ferretRevision = "5"
)

// ErrNoMongo is a machine without a server to test against: a reason to skip, unless CI is "true".
var ErrNoMongo = errors.New("no MongoDB to test against: set UNIHOOK_TEST_MONGO_URI, or UNIHOOK_TEST_FERRETDB=build (as CI=true does) " +
	"to have FerretDB built once into the user's cache")

// StartMongo finds a server for tests: the one that UNIHOOK_TEST_MONGO_URI names, or a FerretDB of its own on a free
// loopback port, with its data in a temporary folder, until stop is called. The program is built where it is not in
// the user's cache and CI=true or UNIHOOK_TEST_FERRETDB=build says so; else the error is ErrNoMongo.
func StartMongo(ctx context.Context) (uri string, stop func(), err error) {
	if uri := os.Getenv("UNIHOOK_TEST_MONGO_URI"); uri != "" {
		return uri, func() {}, nil
	}
	program, err := ferretProgram(ctx)
	if err != nil {
		return "", nil, err
	}
	return startFerret(ctx, program)
}

// ferretProgram is the cached program, built where that is asked for.
func ferretProgram(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache: %w", err)
	}
	program := filepath.Join(cache, "unihook-test", "ferretdb-"+ferretVersion+"-"+ferretRevision)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if os.Getenv("CI") != "true" && os.Getenv("UNIHOOK_TEST_FERRETDB") != "build" {
		return "", ErrNoMongo
	}
	return program, buildFerret(ctx, program)
}

// buildFerret builds outside this module, so that FerretDB never enters its requirements. The new file is moved into
// place whole: two packages' tests may build at the same time.
func buildFerret(ctx context.Context, program string) error {
	dir, err := os.MkdirTemp("", "ferretdb-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	module := "module ferret\n\ngo 1.26\n\nrequire " + ferretModule + " " + ferretVersion + "\n\nreplace " + ferretModule + " => ./source\n"
	for name, text := range map[string]string{"go.mod": module, "main.go": ferretMain} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := patchFerret(ctx, dir); err != nil {
		return err
	}
	built := filepath.Join(dir, "ferret")
	if _, err := goCommand(ctx, dir, "build", "-o", built, "."); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		return err
	}
	text, err := os.ReadFile(built)
	if err != nil {
		return err
	}
	part := fmt.Sprintf("%s.%d", program, os.Getpid())
	if err := os.WriteFile(part, text, 0o700); err != nil {
		return err
	}
	return os.Rename(part, program)
}

// patchFerret copies FerretDB's source below dir and patches it.
func patchFerret(ctx context.Context, dir string) error {
	out, err := goCommand(ctx, dir, "mod", "download", "-json", ferretModule+"@"+ferretVersion)
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return err
	}
	source := filepath.Join(dir, "source")
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil {
		return err
	}
	for _, patch := range ferretPatches {
		file := filepath.Join(source, filepath.FromSlash(patch.file))
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte(patch.before)) {
			return fmt.Errorf("the line to patch is not in FerretDB's %s", patch.file)
		}
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(patch.before), []byte(patch.after)), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(source, filepath.FromSlash(ferretNarrowFile)), []byte(ferretNarrow), 0o600)
}

// goCommand runs the go tool in a module of its own.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("building FerretDB: go %s: %w\n%s", args[0], err, faults.Bytes())
	}
	return out, nil
}

// startFerret runs the program until stop, or until this process is gone: it ends with its standard input.
func startFerret(ctx context.Context, program string) (uri string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "ferretdb-")
	if err != nil {
		return "", nil, err
	}
	addr, err := FreeAddress()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(program, addr, dir)
	var text bytes.Buffer
	cmd.Stderr = &text
	input, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("starting FerretDB: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	stop = func() {
		_ = input.Close()
		_ = cmd.Process.Kill()
		<-ended
		_ = os.RemoveAll(dir)
	}
	if err := answers(ctx, addr, ended); err != nil {
		stop()
		return "", nil, fmt.Errorf("starting FerretDB: %w\n%s", err, text.Bytes())
	}
	return "mongodb://" + addr + "/", stop, nil
}

// answers waits until addr takes connections.
func answers(ctx context.Context, addr string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // long, since the machine may be busy
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-again.C:
		case <-ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
