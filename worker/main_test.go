package worker_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain holds that a worker that has ended leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
