package sqlitestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockName is the file whose flock says who has the data directory. The kernel drops the lock with the process.
const lockName = "lock"

// lockDirectory takes the lock of dir: shared with other processes that share it, or alone.
func lockDirectory(dir string, shared bool) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data directory: %w", err)
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	err = syscall.Flock(int(file.Fd()), how|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	defer file.Close()
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("locking the data directory %s: %w", dir, err)
	}
	if !shared && syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return nil, fmt.Errorf("the data directory %s is in use by processes that share it (api, worker): stop them first, or choose another directory", dir)
	}
	return nil, fmt.Errorf("the data directory %s is in use by another process that has it alone (serve): stop it first, or choose another directory", dir)
}
