// Command unihook is the gateway: `unihook serve` runs all of it in one process with nothing beside it, `unihook api`
// and `unihook worker` are its two halves, and `unihook egress` lends a fixed address to many workers.
//
// This package wires the others together and is the only one that reads flags and the environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// commands is what `unihook` takes.
type commands struct {
	Serve  serveCommand  `cmd:"" help:"Run everything in one process, on embedded parts unless told otherwise."`
	API    apiCommand    `cmd:"" name:"api" help:"Run the HTTP API alone; workers run beside it."`
	Worker workerCommand `cmd:"" help:"Run a worker alone: it delivers what the API accepted."`
	Demo   demoCommand   `cmd:"" help:"Show it at work: publish examples to a receiver of its own and look at what arrives."`
	Map    mapCommand    `cmd:"" help:"Apply mapping rules to JSON on standard input."`
	Egress egressCommand `cmd:"" help:"The proxy that lends its fixed address to workers, and its proof."`
	Keys   keysCommand   `cmd:"" help:"Look after the keys that secrets are sealed with."`
}

// terminal is what a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// exitStatus is an error that says how the process ends; its text, if any, is for standard error.
type exitStatus struct {
	code int
	text string
}

// Error is the sentence that people see.
func (e exitStatus) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr}))
}

// run is the program: it parses args, runs the command and answers the exit status. 2 is a call that cannot be
// understood, 1 one that failed.
func run(ctx context.Context, args []string, t terminal) int {
	parser, err := newParser(t)
	if err == nil {
		err = dropEmpty(os.Environ(), os.Unsetenv)
	}
	if err == nil {
		err = secretsFromFiles(os.Environ(), os.Setenv)
	}
	if err != nil {
		fmt.Fprintln(t.err, "unihook:", err)
		return 2
	}
	parsed, ended, err := parse(parser, args)
	switch {
	case ended != nil:
		return int(*ended)
	case err != nil:
		fmt.Fprintln(t.err, "unihook:", err)
		fmt.Fprintln(t.err, "See unihook --help.")
		return 2
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.Bind(t)
	return report(parsed.Run(), t.err)
}

// parse reads the arguments. Kong ends the process after --help; here that is a status like any other.
func parse(parser *kong.Kong, args []string) (parsed *kong.Context, ended *kongExit, err error) {
	defer func() {
		switch exit := recover().(type) {
		case nil:
		case kongExit:
			ended = &exit
		default:
			panic(exit)
		}
	}()
	parsed, err = parser.Parse(args)
	return parsed, nil, err
}

// kongExit is how kong's own exit leaves run.
type kongExit int

func newParser(t terminal) (*kong.Kong, error) {
	return kong.New(new(commands),
		kong.Name("unihook"),
		kong.Description("An outgoing-webhook gateway that changes payloads."),
		kong.Writers(t.out, t.err),
		kong.Exit(func(code int) { panic(kongExit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
}

// report says what went wrong and answers the exit status.
func report(err error, to io.Writer) int {
	if err == nil {
		return 0
	}
	var status exitStatus
	if !errors.As(err, &status) {
		status = exitStatus{1, err.Error()}
	}
	if status.text != "" {
		fmt.Fprintln(to, "unihook:", status.text)
	}
	return status.code
}
