package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/unihook/unihook/gateway/api"
	"github.com/unihook/unihook/worker"
)

// serveCommand is `unihook serve`: both halves in one process.
type serveCommand struct {
	settings
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, t terminal) error {
	return runNode(ctx, &c.settings, roleServe, t, nil)
}

// apiCommand is `unihook api`: the half that accepts.
type apiCommand struct {
	settings
}

// Run serves until ctx ends.
func (c *apiCommand) Run(ctx context.Context, t terminal) error {
	if c.RedisURI == "" {
		return errNeedsRedis
	}
	return runNode(ctx, &c.settings, roleAPI, t, nil)
}

// workerCommand is `unihook worker`: the half that delivers.
type workerCommand struct {
	settings
}

// Run works until ctx ends.
func (c *workerCommand) Run(ctx context.Context, t terminal) error {
	if c.RedisURI == "" {
		return errNeedsRedis
	}
	return runNode(ctx, &c.settings, roleWorker, t, nil)
}

// errNeedsRedis is a half without the queue that joins it to the other.
var errNeedsRedis = errors.New("--redis-uri is required: api and worker processes meet in Redis (unihook serve needs none)")

// running is what a node that started tells its caller, such as the demo.
type running struct {
	url         string
	operatorKey string
}

// runNode opens a node, runs its halves until ctx ends or one of them fails, and closes it in order: the API takes no
// more, the worker finishes its requests, then queue and store. started, where given, is told when it listens.
func runNode(ctx context.Context, s *settings, r role, t terminal, started func(running)) (err error) {
	log := newLog(s.LogFormat, t.err)
	var listener net.Listener
	if r != roleWorker {
		if listener, err = net.Listen("tcp", s.Listen); err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		defer listener.Close()
	}
	n, err := openNode(ctx, s, r, listener, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	halves, err := n.halves(listener)
	if err != nil {
		return err
	}
	n.greet(t, listener)
	if started != nil {
		started(running{n.publicURL(listener), n.operatorKey})
	}
	return n.runAll(ctx, halves)
}

func newLog(format string, to io.Writer) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(to, nil))
	}
	return slog.New(slog.NewTextHandler(to, nil))
}

// halves makes the parts of the process that run, in the order in which they stop.
func (n *node) halves(listener net.Listener) ([]func(context.Context) error, error) {
	m := newMetrics(n)
	var list []func(context.Context) error
	if n.role != roleWorker {
		a, err := n.newAPI(m)
		if err != nil {
			return nil, err
		}
		m.watchAPI(a)
		list = append(list, func(ctx context.Context) error { return a.Serve(ctx, listener) })
	}
	if n.role != roleAPI {
		w, err := n.newWorker()
		if err != nil {
			return nil, err
		}
		m.watchWorker(w)
		list = append(list, w.Run)
	}
	return list, nil
}

// runAll runs the halves until ctx ends or one fails. They are stopped one after the other: what the API accepted last
// still finds a worker.
func (n *node) runAll(ctx context.Context, halves []func(context.Context) error) error {
	beating, stopBeat := context.WithCancel(context.WithoutCancel(ctx))
	var side sync.WaitGroup
	side.Go(func() { n.beat(beating) })
	side.Go(func() { n.learnEgress(beating) })
	defer side.Wait()
	defer stopBeat()

	failed := make(chan struct{}, len(halves))
	stops := make([]context.CancelFunc, len(halves))
	ends := make([]chan error, len(halves))
	for i, half := range halves {
		var own context.Context
		own, stops[i] = context.WithCancel(context.WithoutCancel(ctx))
		ends[i] = make(chan error, 1)
		go func() {
			ends[i] <- half(own)
			failed <- struct{}{}
		}()
	}
	select {
	case <-ctx.Done():
	case <-failed:
	}
	var errs []error
	for i := range halves {
		stops[i]()
		errs = append(errs, <-ends[i])
	}
	return errors.Join(errs...)
}

// apiGrace is how long requests to the API may go on after SIGTERM; they take milliseconds, tests of webhooks longer.
const apiGrace = 10 * time.Second

func (n *node) newAPI(m *metrics) (*api.API, error) {
	s := n.settings
	o := api.Options{
		Gateway: n.gateway, Secret: n.cursorSecret, Metrics: m.handler(), Observe: m.observe, Log: n.log,
		Grace:  min(time.Duration(s.Grace), apiGrace),
		Checks: []api.Check{{Name: "queue", Run: n.queue.Ping}},
	}
	if n.role == roleServe {
		o.Checks = append(o.Checks, api.Check{Name: "egress", Run: n.client.Check})
	}
	for _, text := range s.TrustedProxy {
		o.TrustedProxies = append(o.TrustedProxies, netip.MustParsePrefix(text)) // Validate has parsed it
	}
	if s.KeyRate > 0 {
		o.Allow = func(ctx context.Context, key string) (bool, time.Duration, error) {
			return n.queue.Allow(ctx, key, s.KeyRate)
		}
	}
	if s.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("reading --tls-cert and --tls-key: %w", err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	return api.New(o)
}

func (n *node) newWorker() (*worker.Worker, error) {
	s := n.settings
	return worker.New(worker.Options{
		Gateway: n.gateway, Store: n.store, Queue: n.queue, Client: n.client, ID: n.id, UserAgent: userAgent,
		// serve locks the data directory; on MongoDB there may be others.
		Alone:       n.role == roleServe && s.MongoURI == "",
		Concurrency: s.Concurrency, Grace: time.Duration(s.Grace), RetryScale: s.RetryScale, ResponseCapture: s.ResponseCapture,
		QuarantineMax: time.Duration(s.QuarantineMax), Retention: time.Duration(s.Retention),
		AuditRetention: time.Duration(s.AuditRetention), Log: n.log,
	})
}

// publicURL is the origin that people use.
func (n *node) publicURL(listener net.Listener) string {
	if n.settings.PublicURL != "" || listener == nil {
		return n.settings.PublicURL
	}
	scheme := "http://"
	if n.settings.TLSCert != "" {
		scheme = "https://"
	}
	return scheme + listener.Addr().String()
}

// greet says where it listens and, at the first start, what the operator's key is, or where it is kept: a key goes to a
// terminal only, never into a log that is collected.
func (n *node) greet(t terminal, listener net.Listener) {
	if listener == nil {
		fmt.Fprintln(t.out, "Unihook works.")
		return
	}
	fmt.Fprintf(t.out, "Unihook listens on %s\n", n.publicURL(listener))
	if n.operatorKeyFile == "" {
		return
	}
	if file, ok := t.out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprintf(t.out, "The operator's key is %s\n", n.operatorKey)
	}
	fmt.Fprintf(t.out, "The operator's key is kept in %s\n", n.operatorKeyFile)
}
