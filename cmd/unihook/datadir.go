package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// keyOf reads a key that an earlier start made in the data dir, or makes it: readable by its owner alone, and whole
// or not at all, whatever happens meanwhile.
func keyOf(dir, name string, make func() string) (key string, made bool, err error) {
	file := filepath.Join(dir, name)
	text, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(text)), false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("reading %s: %w", file, err)
	}
	key = make()
	if err := writeOnce(file, key+"\n"); errors.Is(err, fs.ErrExist) {
		return keyOf(dir, name, make) // another process of this host was first
	} else if err != nil {
		return "", false, fmt.Errorf("keeping %s: %w", file, err)
	}
	return key, true, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// writeOnce makes a file that did not exist, with mode 0600.
func writeOnce(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if _, err := temp.WriteString(text); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := errors.Join(temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Link(temp.Name(), file) // unlike a rename it never replaces
}

// newOperatorKey is 256 random bits.
func newOperatorKey() string { return "uho_" + hex.EncodeToString(randomBytes(32)) }

// newEncryptionKey is 256 random bits.
func newEncryptionKey() string {
	return base64.StdEncoding.EncodeToString(randomBytes(encryptionKeyBytes))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return b
}
