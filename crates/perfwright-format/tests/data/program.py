import threading


def fold(depth, text):
    return len(text) if depth == 0 else len(text) + fold(depth - 1, text)


def work(rounds):
    return sum(fold(row % 5, "row" * (row % 40)) for row in range(rounds))


other = threading.Thread(target=work, args=(1_500_000,), name="worker")
other.start()
work(2_000_000)
other.join()
