package sqlitestore_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/unihook/unihook/gateway"
	"github.com/unihook/unihook/gateway/sqlitestore"
)

// childVariable makes the test program a child that writes into the directory that it names, until it is killed.
const childVariable = "UNIHOOK_SQLITESTORE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		writeForever(dir)
		return
	}
	os.Exit(m.Run())
}

// writeForever accepts events and prints the id of each once it is acknowledged.
func writeForever(dir string) {
	ctx := context.Background()
	s, err := sqlitestore.Open(ctx, dir, sqlitestore.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	for writer := range 16 {
		group.Go(func() {
			for i := 0; ; i++ {
				e, d := numbered(fmt.Sprintf("evt_%d_%d_%d", os.Getpid(), writer, i), i, 2)
				if _, err := s.Accept(ctx, []gateway.Event{e}, d); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(e.ID)
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// numbered makes an event with n deliveries, claimed.
func numbered(id string, i, n int) (gateway.Event, []gateway.Delivery) {
	accepted := gateway.Time(1779100334123 + i)
	e := gateway.Event{
		ID: id, Product: "payments", Type: "paiement.success", Organisation: fmt.Sprintf("org_%d", i%50), Account: "acc_1",
		CreatedAt: gateway.Moment(accepted), AcceptedAt: accepted, Order: fmt.Sprintf("%016x0000", int64(accepted)*1000),
		Data: []byte(`{"id":"pmt_xyz789","amount":5000,"padding":"` + strings.Repeat("x", 900) + `"}`), Hash: make([]byte, 32),
	}
	var deliveries []gateway.Delivery
	for k := range n {
		endpoint := fmt.Sprintf("ep_01krxa9fzvkba1dakvywgr%03d%d", i%500, k)
		d := gateway.Delivery{
			ID: gateway.DeliveryID(accepted, e.Organisation, e.ID, endpoint, ""), Event: e.ID, Organisation: e.Organisation,
			Webhook: fmt.Sprintf("wh_01krxa9fzvkba1dakvywgr%03d", i%500), Endpoint: endpoint, WebhookRevision: 3, Product: e.Product, Type: e.Type,
			Status: gateway.Pending, Reason: gateway.Scheduled, NextAttemptAt: accepted, CreatedAt: accepted,
			Shape: "5f9c4ab08cac7457e9111a30e4664920607ea2c115a1433d7be98e97e64244ca", Order: e.Order,
			Place: gateway.Place{Run: "run_01krxa9fzvkba1dakvywgrf576", LookAt: accepted.Add(gateway.ClaimFor)},
		}
		deliveries = append(deliveries, d)
		e.Plan = append(e.Plan, gateway.Planned{Delivery: d.ID, Endpoint: endpoint, Webhook: d.Webhook, Revision: 3, Shape: d.Shape})
	}
	return e, deliveries
}

func TestAccept_KilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for range 3 {
		killOneAfter(t, dir, 300, acknowledged)
	}
	s := openStore(t, dir, sqlitestore.Options{})
	var result string
	if err := database(t, dir).QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Errorf("integrity_check: %q, error %v", result, err)
	}
	for id := range acknowledged {
		e, err := s.Event(t.Context(), gateway.Everyone(), id)
		if err != nil {
			t.Fatalf("%s was acknowledged and is %v", id, err)
		}
		var planned []string
		for _, p := range e.Plan {
			planned = append(planned, p.Delivery)
		}
		found, err := s.DeliveriesByID(t.Context(), planned)
		if err != nil || len(found) != 2 {
			t.Errorf("%s has %d of 2 deliveries, error %v", id, len(found), err)
		}
	}
}

// killOneAfter runs a child, kills it with -9 once it has acknowledged n writes, and adds all that it acknowledged.
func killOneAfter(t *testing.T, dir string, n int, acknowledged map[string]bool) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines, seen := bufio.NewReader(out), 0
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line that was cut off was not acknowledged whole
		}
		acknowledged[strings.TrimSpace(line)] = true
		if seen++; seen == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // killed
	if seen < n {
		t.Fatalf("the child ended after %d writes", seen)
	}
}
