// The floor of startup_bench: what any program costs from fork to exit.
int main() {}
