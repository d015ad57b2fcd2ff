-- What servers of this engine put into a container engine or a registry for tasks, noted before it is
-- made: only what stands here is ever removed there. A row outlives that of its task.
CREATE TABLE task_images (
    task_id             uuid NOT NULL,
    -- how the image is called there
    name                text NOT NULL,
    -- of an image in a registry: repository@digest
    pinned              text,
    made_at             timestamptz NOT NULL DEFAULT now(),
    -- it was decided; from then on no task may come to need the image
    removing            boolean NOT NULL DEFAULT false,
    -- when its place said last that it does not remove it
    refused_at          timestamptz,
    PRIMARY KEY (task_id, name)
);

-- Until now tasks with the same image shared a name in the container engine.
INSERT INTO task_images (task_id, name)
SELECT id, 'localhost/appengine-task:' || substr(image, 8) FROM tasks WHERE image LIKE 'sha256:%';
