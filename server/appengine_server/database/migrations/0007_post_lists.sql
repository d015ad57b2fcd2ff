-- What 0006 took the place of.
DROP INDEX runs_labels;
DROP INDEX runs_of_task;
