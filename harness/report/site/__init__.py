"""Many results files as a static site: a policy, a plan of pages, and a folder that is ours."""
