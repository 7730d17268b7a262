package worker_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain holds that a worker that has ended leaves nothing running.
func TestMain(m *testing.M) {
	status := m.Run()
	if status == 0 {
		status = checkNothingRuns()
	}
	os.Exit(status)
}

// checkNothingRuns gives goroutines the time to end that a busy machine takes.
func checkNothingRuns() (status int) {
	for end := time.Now().Add(patience); ; {
		err := goleak.Find()
		if err == nil {
			return 0
		}
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			return 1
		}
	}
}
