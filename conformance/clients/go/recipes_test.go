// Package clients plays the recipes that people build on Consul's Go client: locks, semaphores and leader election.
// The address of the server is taken from CONSUL_HTTP_ADDR; the script beside this file starts one.
package clients

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

const contenders = 64

func client(t *testing.T) *api.Client {
	t.Helper()
	made, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// crowd counts who is inside, and the most that ever were.
type crowd struct{ now, most, entries atomic.Int64 }

func (c *crowd) enter() {
	c.entries.Add(1)
	now := c.now.Add(1)
	for most := c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); most = c.most.Load() {
	}
	// Long enough for another one to come in if it could.
	time.Sleep(10 * time.Millisecond)
}

func (c *crowd) leave() { c.now.Add(-1) }

// contend lets all of them at it at once and waits until each has had its turn.
func contend(t *testing.T, turn func(number int) error) {
	t.Helper()
	var all sync.WaitGroup
	failures := make(chan error, contenders)
	for number := range contenders {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := turn(number); err != nil {
				failures <- fmt.Errorf("contender %d: %w", number, err)
			}
		}()
	}
	all.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
}

func TestLockHasOneHolder(t *testing.T) {
	t.Parallel()
	consul, inside := client(t), &crowd{}
	contend(t, func(int) error {
		lock, err := consul.LockOpts(&api.LockOptions{Key: "recipes/lock", SessionTTL: "60s"})
		if err != nil {
			return err
		}
		if _, err := lock.Lock(nil); err != nil {
			return err
		}
		inside.enter()
		inside.leave()
		return lock.Unlock()
	})
	if inside.most.Load() != 1 || inside.entries.Load() != contenders {
		t.Fatalf("%d held the lock at once, %d in all", inside.most.Load(), inside.entries.Load())
	}
	pair, _, err := consul.KV().Get("recipes/lock", nil)
	if err != nil || pair == nil || pair.Session != "" || pair.LockIndex != contenders {
		t.Fatalf("the key after %d turns: %+v, %v", contenders, pair, err)
	}
}

func TestSemaphoreHasNoMoreHoldersThanItsLimit(t *testing.T) {
	t.Parallel()
	const limit = 3
	consul, inside := client(t), &crowd{}
	contend(t, func(int) error {
		semaphore, err := consul.SemaphoreOpts(&api.SemaphoreOptions{
			Prefix: "recipes/semaphore", Limit: limit, SessionTTL: "60s",
		})
		if err != nil {
			return err
		}
		if _, err := semaphore.Acquire(nil); err != nil {
			return err
		}
		inside.enter()
		inside.leave()
		return semaphore.Release()
	})
	if most := inside.most.Load(); most > limit || inside.entries.Load() != contenders {
		t.Fatalf("%d held the semaphore at once, %d in all", most, inside.entries.Load())
	}
}

func TestSemaphoreRefusesTheFourthOfThree(t *testing.T) {
	t.Parallel()
	const limit = 3
	consul := client(t)
	ask := func() (*api.Semaphore, <-chan struct{}) {
		semaphore, err := consul.SemaphoreOpts(&api.SemaphoreOptions{
			Prefix: "recipes/three", Limit: limit, SessionTTL: "60s",
			SemaphoreTryOnce: true, SemaphoreWaitTime: 300 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		held, err := semaphore.Acquire(nil)
		if err != nil {
			t.Fatal(err)
		}
		return semaphore, held
	}
	var first *api.Semaphore
	for number := range limit {
		semaphore, held := ask()
		if held == nil {
			t.Fatalf("holder %d of %d was refused", number+1, limit)
		}
		first = semaphore
	}
	if _, held := ask(); held != nil {
		t.Fatal("a fourth holder was let in")
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if _, held := ask(); held == nil {
		t.Fatal("a slot that came free was refused")
	}
}

// Each leader loses its session without a word: it is told, the key names nobody but the one who leads, and each has its turn.
func TestLeadersFollowEachOther(t *testing.T) {
	t.Parallel()
	const key, candidates = "service/recipes/leader", contenders
	consul := client(t)
	var all sync.WaitGroup
	sessions := make(chan string)
	for number := range candidates {
		session, _, err := consul.Session().CreateNoChecks(&api.SessionEntry{
			Name: fmt.Sprintf("candidate %d", number), TTL: "60s", LockDelay: time.Millisecond,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		lock, err := consul.LockOpts(&api.LockOptions{
			Key: key, Value: []byte(session), Session: session, LockTryOnce: false,
		})
		if err != nil {
			t.Fatal(err)
		}
		all.Add(1)
		go func() {
			defer all.Done()
			lost, err := lock.Lock(nil)
			if err != nil {
				t.Errorf("candidate %d: %v", number, err)
				return
			}
			sessions <- session
			select {
			case <-lost:
			case <-time.After(time.Minute):
				t.Errorf("candidate %d was not told that it lost", number)
			}
		}()
	}
	seen := map[string]bool{}
	for range candidates {
		select {
		case leader := <-sessions:
			pair, _, err := consul.KV().Get(key, nil)
			if err != nil || pair == nil || pair.Session != leader || string(pair.Value) != leader {
				t.Fatalf("leader %s, but the key says %+v, %v", leader, pair, err)
			}
			seen[leader] = true
			if _, err := consul.Session().Destroy(leader, nil); err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("nobody leads")
		}
	}
	all.Wait()
	if len(seen) != candidates {
		t.Fatalf("%d of %d candidates led", len(seen), candidates)
	}
}
