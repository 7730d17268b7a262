package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"
)

// demoCommand is `unihook demo`: the gateway in a temporary folder, a receiver beside it, and the catalogue's examples
// on their way from one to the other. It talks to the gateway over HTTP, as a customer does.
type demoCommand struct {
	Once   bool   `help:"End after the examples, with status 0 only if every delivery arrived, mapped and verified."`
	JSON   bool   `name:"json" help:"Print a JSON object a line, for programs."`
	Listen string `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Loopback address to listen on; port 0 is a free one."`
}

// Run shows the examples, then serves until ctx ends; with --once it ends at once.
func (c *demoCommand) Run(ctx context.Context, t terminal) (err error) {
	dir, err := os.MkdirTemp("", "unihook-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	receiver, err := startReceiver(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return fmt.Errorf("starting the demo's receiver: %w", err)
	}
	defer receiver.close()
	s, err := demoSettings(dir, c.Listen, receiver.addr)
	if err != nil {
		return err
	}
	gateway, err := startGateway(ctx, s, filepath.Join(dir, "unihook.log"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.stop()) }()

	// A reader that has seen enough, such as head, must not kill us before the folder is removed.
	signal.Ignore(syscall.SIGPIPE)
	page := newDemoPage(t.out, c.JSON)
	if err := showDemo(ctx, page, gateway.running, receiver); err != nil {
		gateway.copyLog(t.err)
		return err
	}
	if err := page.unwritten(); err != nil {
		return err
	}
	if c.Once {
		return nil
	}
	page.serving(gateway.running.url, s.DataDir)
	return gateway.wait(ctx)
}

// demoOrganisation is the demo's customer. It alone may have targets on loopback, and the receiver alone.
const demoOrganisation = "org_demo"

// demoSettings are the defaults, whatever the environment says, with all data in dir and the receiver as the one
// address that is a target though not public.
func demoSettings(dir, listen string, receiver netip.AddrPort) (*settings, error) {
	s := new(settings)
	parser, err := kong.New(s)
	if err != nil {
		return nil, fmt.Errorf("reading the default settings: %w", err)
	}
	for _, flag := range parser.Model.Flags {
		flag.Envs, flag.Tag.Envs = nil, nil
	}
	if _, err := parser.Parse([]string{
		"--listen", listen,
		"--data-dir", filepath.Join(dir, "data"),
		"--ca-file", filepath.Join(dir, "ca.pem"),
		"--allow-port", fmt.Sprint(receiver.Port()),
		"--allow-network", fmt.Sprintf("%s=%s/32@%d", demoOrganisation, receiver.Addr(), receiver.Port()),
	}); err != nil {
		return nil, unusable("%v", err)
	}
	return s, nil
}

// demoGateway is the gateway of a demo: what `unihook serve` runs, with its log in a file.
type demoGateway struct {
	running running
	cancel  context.CancelFunc
	ended   chan error // closed after it gave the outcome
	log     *os.File
}

// startGateway starts it and waits until it listens.
func startGateway(ctx context.Context, s *settings, logFile string) (*demoGateway, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("making the demo's log: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &demoGateway{cancel: cancel, ended: make(chan error, 1), log: log}
	listening := make(chan running, 1)
	go func() {
		defer close(g.ended)
		g.ended <- runNode(ctx, s, roleServe, terminal{out: io.Discard, err: log}, func(r running) { listening <- r })
	}()
	select {
	case g.running = <-listening:
		return g, nil
	case err := <-g.ended:
		cancel()
		return nil, errors.Join(err, log.Close())
	}
}

// wait serves until ctx ends, which is how people end a demo, or the gateway fails.
func (g *demoGateway) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-g.ended:
		return err
	}
}

// stop ends the gateway and answers how it ended, unless wait has.
func (g *demoGateway) stop() error {
	g.cancel()
	return errors.Join(<-g.ended, g.log.Close())
}

// copyLog tells what the gateway said, for who wants to know what went wrong.
func (g *demoGateway) copyLog(to io.Writer) {
	if text, err := os.ReadFile(g.log.Name()); err == nil {
		_, _ = to.Write(text)
	}
}
